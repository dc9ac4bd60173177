"""Rényi-2 entropies of sampled wave functions by swapping parts of two copies."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import t as student

from qlib.arguments import integer_between, number_between, positive_integer
from qlib.nas.spins import checked_spins
from qlib.nas.vmc.estimates import blocked

FEWEST_EFFECTIVE = 100  # pairs worth of a purity below which no error bar is believed


@dataclass(frozen=True)
class SwapRenyi2:
    """Rényi-2 entropies with their errors; see `swap_renyi2`. All arrays are (cuts,).

    Attributes
    ----------
    cuts : int array
    value : array
        −ln of the purity, nats; nan where the estimate of the purity is not positive.
    error : array
        Standard error of the purity over the purity: that of `value` where it is small.
    purity, purity_error : arrays
        Tr ρ_A² and its blocked standard error.
    effective_samples : array
        Pairs of equal weight that would give the purity the same error,
        (purity / purity_error)², at most (Σw)²/Σw².
    reliable : bool array
        Whether these are at least 100 and the error resolves the autocorrelation.
        The purity is a mean of rare large terms where the entropy is large, and the
        samples then miss part of it: they need about exp(R₂) pairs.
    blocks : int array
        Blocks that the error rests on.
    """

    cuts: np.ndarray
    value: np.ndarray
    error: np.ndarray
    purity: np.ndarray
    purity_error: np.ndarray
    effective_samples: np.ndarray
    reliable: np.ndarray
    blocks: np.ndarray

    def interval(self, confidence=0.95):
        """Ends of the entropies' intervals, from Student's for the purities.

        Returns
        -------
        low, high : (cuts,) arrays
            Nats; `high` is inf where the purity's interval reaches zero.
        """
        confidence = number_between("confidence", confidence, 0, 1, open_low=True)
        half = self.purity_error * student.ppf((1 + confidence) / 2, self.blocks - 1)
        with np.errstate(divide="ignore"):
            low = -np.log(np.maximum(self.purity + half, 0))
            high = -np.log(np.maximum(self.purity - half, 0))
        return np.maximum(low, 0), high


def swap_renyi2(log_psi, first, second, *, cuts=None, chunk=2**14):
    """Rényi-2 entropies R₂ = −ln Tr ρ_A² of the sites before each cut, from samples.

    Tr ρ_A² is the mean of w = ψ(t_A s_B) ψ(s_A t_B) / (ψ(s) ψ(t)) over pairs of
    independent samples s, t of |ψ|² whose sites A are exchanged.

    Parameters
    ----------
    log_psi : callable
        Block, or spins (M, N) -> (M,) complex; not normalised.
    first, second : (n, N) or (chains, n, N) tensors
        Spins ±1 drawn from |ψ|², independent of each other; pair k is the k-th of both.
        Halves of the chains of a `ground_state` are: ``found.spins.chunk(2)``; else
        two calls of `draw_exactly`, or two `Metropolis` of different generators.
    cuts : sequence of int, optional
        One or more, each in [1, N−1]; all unless given.
    chunk : int, optional
        Configurations evaluated at once; 2¹⁴ unless given.

    Returns
    -------
    SwapRenyi2

    Raises
    ------
    ValueError
        If shapes differ, a spin is not ±1, a cut is none, ψ vanishes at a sample, or
        both sets are the same samples (of more than one configuration).

    Notes
    -----
    Hastings, González, Kallin and Melko, Phys. Rev. Lett. 104, 157201 (2010). Weights
    are formed from differences of logarithms. 2 (cuts + 1) M evaluations.
    """
    first, second, cuts = _checked(first, second, cuts)
    chunk = positive_integer("chunk", chunk)
    num_sites = first.shape[-1]

    def values(spins):
        parts = spins.reshape(-1, num_sites).split(chunk)
        return torch.cat([log_psi(part) for part in parts]).reshape(spins.shape[:-1])

    with torch.no_grad():
        whole = values(first) + values(second)  # (chains, n)
        if not torch.isfinite(whole.real).all():
            raise ValueError(
                "first, second: got a sample of amplitude 0; allowed: none"
            )
        purities, kish = [], []
        for cut in cuts:
            left, right = (
                torch.cat([one[..., :cut], other[..., cut:]], -1)
                for one, other in ((first, second), (second, first))
            )
            log_w = values(left) + values(right) - whole
            vanishes = torch.isneginf(log_w.real)
            w = torch.where(vanishes, 0.0, torch.exp(log_w).real)  # (chains, n)
            purities.append(blocked(w))
            square = float((w**2).sum())
            kish.append(float(w.sum()) ** 2 / square if square else 0.0)
    return _collected(cuts, purities, kish)


def _collected(cuts, purities, kish):
    """The entropies of blocked means of the weights."""
    purity = np.array([one.mean for one in purities])
    spread = np.array([one.error for one in purities])
    resolved = np.array([one.resolved for one in purities])
    value = np.full(len(cuts), np.nan)
    value[purity > 0] = -np.log(purity[purity > 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(purity > 0, spread / purity, np.nan)
        effective = np.fmin(np.where(purity > 0, error**-2.0, 0.0), kish)
    return SwapRenyi2(
        np.array(cuts),
        value,
        error,
        purity,
        spread,
        effective,
        resolved & (effective >= FEWEST_EFFECTIVE),
        np.array([one.blocks for one in purities]),
    )


def _checked(first, second, cuts):
    """Samples as (chains, n, N) and cuts as a list, if they fit one another."""
    for name, spins in (("first", first), ("second", second)):
        checked_spins(name, spins)
    shape = first.shape
    if shape != second.shape or len(shape) not in (2, 3) or np.prod(shape[:-1]) < 2:
        got = f"{tuple(shape)} and {tuple(second.shape)}"
        allowed = "equal, (n, N) or (chains, n, N), two samples or more"
        raise ValueError(f"first, second: got shapes {got}; allowed: {allowed}")
    if first.ndim == 2:
        first, second = first[None], second[None]
    num_sites = first.shape[-1]
    if torch.equal(first, second) and (first != first[0, 0]).any():
        allowed = "two sets drawn independently"
        raise ValueError(f"first, second: got the same samples; allowed: {allowed}")
    given = range(1, num_sites) if cuts is None else cuts
    cuts = list(given) if isinstance(given, Iterable) else []
    if not cuts:
        allowed = f"one or more integers in [1, {num_sites - 1}]"
        raise ValueError(f"cuts: got {given!r}; allowed: {allowed}")
    return first, second, [integer_between("cuts", c, 1, num_sites - 1) for c in cuts]
