"""The methods that the benchmarks of this folder compare ours with."""
