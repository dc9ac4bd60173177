"""What a rule may read of a target: its entanglement over all cuts, in few numbers."""

from dataclasses import dataclass, fields

import numpy as np

from qlib.entanglement.spectrum import features
from qlib.nas.screen import screen

DISCARDED = 1e-3  # Schmidt weight that the rank leaves out
HIGHEST_GAP = 12.0  # nats: a second level above it has p < 1e-5 and counts for none
LN2 = np.log(2)


@dataclass(frozen=True)
class Profile:
    """Numbers made from Schmidt probabilities alone, comparable between sizes.

    Any rotation of single qubits leaves every one of them as it is.

    Attributes
    ----------
    density : float
        Entropy of the half chain over the largest possible, (N/2) ln 2.
    growth : float
        Slope of the entropy from cut 1 to the middle, bits a site, mean over both
        ends: near 0 for an area law, near 1 for random states.
    roughness : float
        Mean |S(l + 1) − S(l)| over all cuts, bits: large for dimers.
    capacity : float
        Variance of xi = −ln p at the half chain, nats²; 0 for a flat spectrum.
    skewness : float
        Of xi at the half chain, 0 for a flat spectrum.
    gap : float
        xi_2 − xi_1 at the half chain, nats, at most 12.
    rank : float
        log2 of the fewest Schmidt values that leave out a weight of 1e-3, largest over
        cuts, over N/2.
    bounds : dict
        Block to the least infidelity that its capacity allows; see `screen`.
    bits : dict
        Block to the sum over cuts of log2 of its capacity.
    """

    density: float
    growth: float
    roughness: float
    capacity: float
    skewness: float
    gap: float
    rank: float
    bounds: dict
    bits: dict


FEATURES = tuple(f.name for f in fields(Profile) if f.type is float)


def profile(spectra, blocks):
    """The profile of a target.

    Parameters
    ----------
    spectra : sequence of N − 1 arrays
        Schmidt probabilities at the cuts 1..N−1.
    blocks : dict
        Name to `qlib.nas.blocks.Block` of N sites, whose weights do not matter.

    Returns
    -------
    Profile
    """
    num_sites = len(spectra) + 1
    middle = num_sites // 2
    at_all = [features(p, epsilon=DISCARDED) for p in spectra]
    half = at_all[middle - 1]
    entropies = np.array([one.entropy for one in at_all]) / LN2
    return Profile(
        density=entropies[middle - 1] / middle,
        growth=float((_slope(entropies, middle) + _slope(entropies[::-1], middle)) / 2),
        roughness=float(np.abs(np.diff(entropies)).mean()),
        capacity=half.capacity,
        skewness=half.skewness,
        gap=min(half.entanglement_gap, HIGHEST_GAP),
        rank=float(np.log2(max(one.rank for one in at_all)) / middle),
        bounds={name: screen(spectra, block) for name, block in blocks.items()},
        bits={name: _bits(block, num_sites) for name, block in blocks.items()},
    )


def _slope(entropies, middle):
    return np.polynomial.polynomial.polyfit(
        np.arange(1, middle + 1), entropies[:middle], 1
    )[1]


def _bits(block, num_sites):
    return float(sum(np.log2(block.capacity(cut)) for cut in range(1, num_sites)))


def basis_features(vector):
    """What a state is in its basis, which single-qubit rotations change.

    Parameters
    ----------
    vector : (2^N,) array
        Normalised.

    Returns
    -------
    dict
        sign : |Σ |psi| psi|², 1 where all amplitudes have one phase;
        Marshall sign : the same after the sign rule of bipartite antiferromagnets;
        participation : −ln Σ |psi|⁴ over N ln 2, 0 for one configuration, 1 for all.
    """
    size = np.abs(vector)
    num_sites = vector.size.bit_length() - 1
    odd = sum(2 ** (num_sites - 1 - site) for site in range(1, num_sites, 2))
    rule = 1 - 2 * (np.bitwise_count(np.arange(vector.size) & odd) % 2).astype(float)
    return {
        "sign": float(abs(size @ vector) ** 2),
        "Marshall sign": float(abs((size * rule) @ vector) ** 2),
        "participation": float(-np.log(np.sum(size**4)) / (num_sites * LN2)),
    }
