"""One query over a few keys: a state, its measurements, and what they estimate."""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.arguments import integer_between, positive_integer
from qlib.attention.attention import quantum_attention

BUDGETS = (1, 4, 16, 64, 256, 1024)


@dataclass(frozen=True, eq=False)
class Measurement:
    """A query's attention as a state whose measured basis states are keys.

    Attributes
    ----------
    amplitudes : (key,) array
        Of the state Σ √a |key⟩, a the softmax weights; their squares sum to 1.
    values : (key,) array
        One number a key.
    exact : float
        Σ a v, the output of softmax attention.
    counts : (key,) array
        How often each key was measured in `shots` measurements of one run.
    shots : int
    budgets : (B,) int array
        Measurements of an estimate.
    estimates : (B, run) array
        Means of the measured values.
    stated : (B, run) array
        Standard errors that the runs state of themselves.
    """

    amplitudes: np.ndarray
    values: np.ndarray
    exact: float
    counts: np.ndarray
    shots: int
    budgets: np.ndarray
    estimates: np.ndarray
    stated: np.ndarray

    @property
    def spread(self):
        """Standard deviation of a measured value: √(Σ a v² - exact²)."""
        square = (self.amplitudes**2 * self.values**2).sum() - self.exact**2
        return float(square**0.5)

    @property
    def deviation(self):
        """Root mean square error of the estimates of each budget, (B,)."""
        return np.sqrt(np.mean((self.estimates - self.exact) ** 2, axis=1))

    def rows(self):
        """What a record holds: (metric, value, labels)."""
        for budget, deviation in zip(self.budgets, self.deviation, strict=True):
            expected = self.spread / budget**0.5
            labels = {"measurements": int(budget), "keys": len(self.values)}
            yield (
                "error of the toy estimate over theory's",
                deviation / expected,
                labels,
            )


def measurement(*, keys=8, shots=64, budgets=BUDGETS, runs=100, seed=0):
    """Measure one query's attention over and over, by the backend ``"multinomial"``.

    Parameters
    ----------
    keys : int
        A power of 2 fills a register of qubits.
    shots : int
        Measurements whose counts are kept.
    budgets : sequence of int
        Measurements of an estimate.
    runs : int
        Estimates of each budget.
    seed : int

    Returns
    -------
    Measurement
    """
    keys = integer_between("keys", keys, 2, 1024)
    shots, runs = positive_integer("shots", shots), positive_integer("runs", runs)
    generator = torch.Generator().manual_seed(seed)
    drawn = {"generator": generator, "dtype": torch.float64}
    q = torch.randn(1, 1, 1, keys, **drawn).mul(2 * keys**0.25)
    v = torch.randn(1, 1, keys, 1, **drawn)
    k = torch.eye(keys, dtype=torch.float64)[None, None]
    exact = quantum_attention(q, k, v, need_weights=True)

    def measured(samples, copies, **settings):
        tensors = (each.expand(copies, -1, -1, -1) for each in (q, k, v))
        settings |= {"samples": samples, "generator": generator}
        return quantum_attention(*tensors, backend="multinomial", **settings)

    counted = measured(shots, 1, need_weights=True)
    found = [measured(int(budget), runs) for budget in budgets]
    return Measurement(
        exact.weights.flatten().numpy() ** 0.5,
        v.flatten().numpy(),
        exact.output.item(),
        np.rint(counted.weights.flatten().numpy() * shots).astype(int),
        shots,
        np.asarray(budgets),
        np.array([each.output.flatten().numpy() for each in found]),
        np.array([each.info.standard_error.flatten().numpy() for each in found]),
    )
