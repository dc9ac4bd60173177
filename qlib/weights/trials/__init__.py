"""Repeated trials of the methods on heads and networks, as notebook 02 needs them."""
