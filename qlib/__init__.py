"""qlib: where quantum-inspired methods for neural networks help, and where not.

Topics are subpackages (`qlib.annealing`, ...); `qlib.workbook` runs the notebooks
and makes their reports. Importing `qlib` itself loads neither torch nor matplotlib.
"""

__version__ = "0.1.0"
