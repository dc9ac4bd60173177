"""Where vectors live: an array namespace, a dtype and a device."""

from functools import cached_property
from math import prod

import numpy as np
from scipy.linalg import get_blas_funcs

from qlib.arguments import one_of


class ArraySpace:
    """NumPy vectors for `device` None, torch's on that device otherwise.

    Parameters
    ----------
    device : str, torch.device or None
    dtype : str
        "float32" or "float64": of the real parts.
    is_real : bool
        Whether vectors are real.
    """

    def __init__(self, device, dtype, is_real):
        one_of("dtype", dtype, ("float32", "float64"))
        self.device = device
        self.is_real = is_real
        self.real = np.dtype(dtype)
        self.eps = float(np.finfo(dtype).eps)
        self.dtype = self.real if is_real else np.result_type(self.real, np.complex64)
        self.itemsize = self.dtype.itemsize
        self.xp = np
        if device is not None:
            import array_api_compat.torch as torch_namespace

            _refuse_missing(device)
            self.xp = torch_namespace
        else:
            self._axpy = get_blas_funcs("axpy", dtype=self.dtype)
        self._vecdot = self.xp.vecdot

    @cached_property
    def _options(self):
        if self.device is None:
            return {"dtype": self.dtype}
        return {"dtype": getattr(self.xp, self.dtype.name), "device": self.device}

    def array(self, values):
        """A NumPy array's values in this space."""
        if self.is_real:
            values = values.real
        return self.xp.asarray(np.ascontiguousarray(values), **self._options)

    def coefficient(self, values):
        """A number, or an array's values in this space."""
        if isinstance(values, np.ndarray):
            return self.array(values)
        return values.real if self.is_real else values

    def empty(self, size):
        return self.xp.empty(size, **self._options)

    def zeros(self, size):
        return self.xp.zeros(size, **self._options)

    def random(self, size, generator):
        """Independent standard normal numbers, real and imaginary parts alike."""
        values = generator.standard_normal(size, dtype=self.real)
        if not self.is_real:
            values = values + 1j * generator.standard_normal(size, dtype=self.real)
        return self.array(values)

    @staticmethod
    def size(array):
        """Number of entries."""
        return prod(array.shape)

    def flip(self, array, axes):
        """The array backwards along `axes`; a view in NumPy."""
        if self.device is not None:
            return self.xp.flip(array, axis=axes)
        backwards = slice(None, None, -1)
        return array[
            tuple(backwards if a in axes else slice(None) for a in range(array.ndim))
        ]

    def dot(self, first, second):
        """The number <first|second>."""
        return self._vecdot(first, second).item()

    def add(self, psi, factor, vector):
        """psi += factor · vector in place, in one pass over memory."""
        if self.device is None:
            self._axpy(vector, psi, a=factor)
        else:
            psi.add_(vector, alpha=factor)

    def norm(self, psi):
        return self.dot(psi, psi).real ** 0.5


def _refuse_missing(device):
    """Refuse a `device` on which torch cannot make a tensor."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError) as error:
        there = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        if torch.backends.mps.is_available():
            there.append("mps")
        allowed = ", ".join(["None (NumPy)", "cpu", *there])
        raise ValueError(f"device: got {device!r}; allowed: {allowed}") from error
