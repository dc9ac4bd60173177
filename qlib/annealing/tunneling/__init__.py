"""`tunneling_annealing`: the method, and its parts one a file."""

from qlib.annealing.tunneling.method import tunneling_annealing

__all__ = ["tunneling_annealing"]
