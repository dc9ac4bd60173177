"""Means of correlated Monte Carlo samples with errors, and how good a state is."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from qlib.arguments import number_between, positive_integer
from qlib.intervals import Estimate

INDEPENDENT_CHAINS = 16  # whole chains as blocks: 18 % of the error


@dataclass(frozen=True)
class Blocked:
    """A Monte Carlo mean with its error; see `blocked`.

    Attributes
    ----------
    mean : float
    error : float
        Standard error, autocorrelation included; nan from a single sample.
    variance : float
        Of single samples.
    block_length : int
        Samples averaged to one block.
    blocks : int
        Blocks of all chains; the error has one degree of freedom less.
    resolved : bool
        Whether the blocks are long against the autocorrelation, or are whole chains
        and at least 16 of them. The error is too small where they are not.
    effective_samples : float
        variance / error², at most the number of samples.
    """

    mean: float
    error: float
    variance: float
    block_length: int
    blocks: int
    resolved: bool
    effective_samples: float

    def interval(self, confidence=0.95):
        """Student's interval of the mean, a `qlib.intervals.Estimate`."""
        confidence = number_between("confidence", confidence, 0, 1, open_low=True)
        if self.blocks < 2:
            return Estimate(self.mean, -np.inf, np.inf)
        half = self.error * student.ppf((1 + confidence) / 2, self.blocks - 1)
        return Estimate(self.mean, self.mean - half, self.mean + half)


def blocked(samples):
    """Mean of correlated samples and its error, by averages over blocks.

    Parameters
    ----------
    samples : (n,) or (chains, n) array or tensor
        Real and finite, in the order drawn. Chains are taken as independent.

    Returns
    -------
    Blocked

    Raises
    ------
    ValueError
        If the samples are complex, not finite, empty or of more dimensions.

    Notes
    -----
    Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989): blocks of 1, 2, 4, … samples,
    never across chains, and whole chains last. Of these the shortest length b with
    b³ > 2 M (σ_b/σ_1)⁴, where σ_b is the error from blocks of b and M the number of
    samples: there bias and noise of the error are about equal (Lee, Mitas and Wagner,
    Phys. Rev. E 83, 066706, 2011). O(M).
    """
    samples = _chains(samples)
    chains, length = samples.shape
    variance = float(samples.var(ddof=1)) if samples.size > 1 else np.nan
    chosen, naive = (1, samples.size, np.nan, False), None
    for block, count, error in _levels(samples):
        naive = error if naive is None else naive
        long = block**3 * naive**4 > 2 * samples.size * error**4
        whole = block == length and chains >= INDEPENDENT_CHAINS
        resolved = bool(long or whole or error == 0)
        chosen = (block, count, error, resolved)
        if resolved:
            break
    block, count, error, resolved = chosen
    effective = float(samples.size)
    if error > 0:
        effective = min(effective, variance / error**2)
    mean = float(samples.mean())
    return Blocked(mean, float(error), variance, block, count, resolved, effective)


def _levels(samples):
    """(block length, blocks, error) for lengths 1, 2, 4, … and the whole chain."""
    chains, length = samples.shape
    lengths = [2**k for k in range(length.bit_length()) if 2**k < length] + [length]
    for block in lengths:
        each = length // block
        means = samples[:, : each * block].reshape(chains, each, block).mean(-1)
        if means.size > 1:
            yield block, means.size, means.std(ddof=1) / np.sqrt(means.size)


def v_score(energy, variance, num_sites, *, infinite_temperature=0.0):
    """V-score N Var(H) / (E − E_∞)²: zero for an eigenstate, comparable over models.

    Parameters
    ----------
    energy, variance : float
        <H> and <H²> − <H>² of the state (the variance of complex local energies is
        that of real and imaginary part together).
    num_sites : int
        N.
    infinite_temperature : float, optional
        E_∞ = Tr H / 2^N: the coefficient of the identity in a `PauliSum`, 0 without.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the variance is negative, or the energy is E_∞.

    Notes
    -----
    Wu et al., Science 386, 296 (2024).
    """
    num_sites = positive_integer("num_sites", num_sites)
    variance = number_between("variance", variance, 0, np.inf)
    energy = number_between("energy", energy, -np.inf, np.inf)
    above = energy - infinite_temperature
    if above == 0:
        allowed = f"other than that at infinite temperature, {infinite_temperature}"
        raise ValueError(f"energy: got {energy}; allowed: {allowed}")
    return num_sites * variance / above**2


def _chains(samples):
    """Samples as a real (chains, n) array."""
    if hasattr(samples, "detach"):
        samples = samples.detach().cpu().numpy()
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or samples.size == 0:
        allowed = "(n,) or (chains, n), not empty"
        raise ValueError(f"samples: got shape {samples.shape}; allowed: {allowed}")
    if samples.dtype.kind not in "biuf":
        raise ValueError(f"samples: got {samples.dtype}; allowed: real numbers")
    if not np.isfinite(samples).all():
        raise ValueError("samples: got a NaN or infinity; allowed: finite")
    return np.atleast_2d(samples.astype(float))
