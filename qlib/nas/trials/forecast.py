"""Entanglement of a long chain from sizes that can be diagonalised, for the screen.

Half-chain entropies are predicted from 4, 8 and 16 sites. A screen wants Schmidt
probabilities at all cuts; these are the least that the two predicted numbers imply.

Across the chain, the entropy follows the conformal profile S(l) = S(N/2) + (c/6)
ln sin(πl/N) of open chains, whose charge c is the predicted gain of the last doubling
over (1/6) ln 2: a critical chain's arch, a gapped chain's plateau (Calabrese and Cardy,
J. Stat. Mech. P06002, 2004).

At a cut, the spectrum is that of the corner transfer matrix of chains of free fermions
with one ground state, levels ε, 3ε, 5ε, … each filled or not: exact for long Ising
chains on the disordered side, and logarithmic corrections away from a critical one
(Peschel, Kaulke and Legeza, Ann. Phys. (Leipzig) 8, 153, 1999). Its one number ε is
fixed by the entropy. As many independent copies as c has halves, and one at least.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from qlib.arguments import integer_between, number_between
from qlib.entanglement import freefermions
from qlib.entanglement.dataset import FAMILIES
from qlib.entanglement.predictor import Doublings, LinearInLogSize, SameAsLargest
from qlib.intervals import Estimate

SIZES = (4, 8, 16)
WITHOUT = ("tfim_paramagnet", "tfim_ferromagnet", "tfim_critical", "random_xx")
MOST_STATES, MOST_FACTORS = 4096, 1024  # of an implied spectrum, and of a copy's
LARGEST = 1.2  # nats a copy: these hold all but 1e-4 of the weight of three copies


@dataclass(frozen=True, eq=False)
class Forecast:
    """Half-chain entropy of a chain of N sites, from 16 sites and fewer.

    Attributes
    ----------
    num_sites : int
    entropy : Estimate
        Nats, with the predictor's interval.
    gain : float
        Of the last doubling, nats.
    baselines : dict
        Name to entropy, of laws that learn nothing.
    inside : bool
        Whether the predictor was trained on what was asked, by its word.
    """

    num_sites: int
    entropy: Estimate
    gain: float
    baselines: dict
    inside: bool

    @property
    def charge(self):
        """Central charge c that the gain stands for, at least 0."""
        return max(6 * self.gain / np.log(2), 0.0)

    def spectra(self):
        """Schmidt probabilities that entropy and gain imply, at the cuts 1 … N−1.

        Returns
        -------
        list of N − 1 arrays
        """
        N, copies = self.num_sites, max(1, round(2 * self.charge))
        cuts = np.arange(1, N)
        arch = self.charge / 6 * np.log(np.sin(np.pi * cuts / N))
        found = []
        for cut, bend in zip(cuts, arch, strict=True):
            p = corner_spectrum(max(self.entropy.value + bend, 0.0), copies)
            p = p[: 2 ** min(cut, N - cut, 60)]
            found.append(p / p.sum())
        return found


def free_chains(per_family, *, rng):
    """Chains of free families at 4, 8 and 16 sites, for predictors to learn from.

    Parameters
    ----------
    per_family : int
    rng : int or numpy.random.Generator

    Returns
    -------
    Doublings
        Of all families of `dataset.FAMILIES` that are free, but the transverse-field
        Ising chain, which is to be predicted, and random ones.
    """
    rng, learnt = np.random.default_rng(rng), None
    for name, family in FAMILIES.items():
        if not family.free or name in WITHOUT:
            continue
        for _ in range(per_family):
            given = family.draw(rng)
            states = {
                size: freefermions.ground_state(
                    family.build(size, **given), parity=family.parity(size, given)
                )
                for size in SIZES
            }
            named = {"family": np.array([name]), "phase": np.array([family.phase])}
            point = replace(Doublings.from_states(states), parameters=(given,), **named)
            learnt = point if learnt is None else learnt.joined(point)
    return learnt


def forecast(states, num_sites, predictor):
    """Predict the half-chain entropy of a longer chain.

    Parameters
    ----------
    states : dict
        Size to ground state at 4, 8 and 16 sites, as `Doublings.from_states` takes.
    num_sites : int
        32, 64 or 128.
    predictor : as `qlib.entanglement.predictor.SizeFlow`
        Fitted.

    Returns
    -------
    Forecast
    """
    integer_between("num_sites", num_sites, 32, 128)
    doublings = int(np.log2(num_sites // SIZES[-1]))
    if num_sites != SIZES[-1] * 2**doublings:
        raise ValueError(f"num_sites: got {num_sites}; allowed: 32, 64, 128")
    point = Doublings.from_states(states)
    said = predictor.predict(point, doublings)
    values = [point.entropy[0, -1], *(float(one.value[0]) for one in said)]
    laws = {"same as largest": SameAsLargest, "linear in ln N": LinearInLogSize}
    baselines = {
        name: float(law().fit(point).predict(point, doublings)[-1].value[0])
        for name, law in laws.items()
    }
    last = said[-1]
    entropy = Estimate(values[-1], float(last.low[0]), float(last.high[0]))
    gain = values[-1] - values[-2]
    return Forecast(num_sites, entropy, gain, baselines, bool(last.inside[0]))


def corner_spectrum(entropy, copies=1):
    """Probabilities of fermion levels ε, 3ε, 5ε, … of a given entropy.

    Parameters
    ----------
    entropy : float
        Nats, at most 1.2 a copy.
    copies : int, optional
        Independent ones, each with its share of the entropy; 1 unless given.

    Returns
    -------
    (D,) array
        Descending, summing to one; the 4096 largest at most, of one copy 1024.
    """
    copies = integer_between("copies", copies, 1, 8)
    entropy = number_between("entropy", entropy, 0, LARGEST * copies)
    if entropy / copies < 1e-12:
        return np.ones(1)
    spacing = np.exp(brentq(_excess, np.log(0.1), np.log(50.0), (entropy / copies,)))
    top = min(int(36.0 / spacing) + 1, 200)
    ways = np.zeros(top + 1, dtype=int)  # of filling levels to a sum of n ε
    ways[0] = 1
    for level in range(1, top + 1, 2):
        ways[level:] += ways[: top + 1 - level].copy()
    p = one = np.repeat(np.exp(-spacing * np.arange(top + 1)), ways)[:MOST_FACTORS]
    for _ in range(copies - 1):
        p = np.sort(np.outer(p, one).ravel())[::-1][:MOST_STATES]
    return p / p.sum()


def _excess(log_spacing, entropy):
    """Entropy of the levels of some spacing, minus the one wanted."""
    energies = np.exp(log_spacing) * np.arange(1, 2 * 200, 2)
    energies = energies[energies < 700]
    filled = 1 / (1 + np.exp(energies))
    return np.sum(np.log1p(np.exp(-energies)) + energies * filled) - entropy
