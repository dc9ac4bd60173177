"""Rules from entanglement to a block, fixed before any block was trained on any target.

Declared on 21 November 2026, before the first table was measured: the rules, their
thresholds, the order of ties, the floor of infidelities and the families of targets
(`families.py`) stand in the history ahead of every result and were not moved since. A
rule reads a `Profile` and names a block. Names are those of `qlib.nas.candidates`.

The reasons are the usual ones. A block cannot reach a target of more Schmidt weight
than its capacity holds; matrix product states and short-range machines obey an area
law, machines of all sites may have a volume law (D.-L. Deng, X. Li, S. Das Sarma, Phys.
Rev. X 7, 021021, 2017); graph states have flat spectra and are machines exactly,
whatever their entropy (X. Gao, L.-M. Duan, Nature Communications 8, 662, 2017).
"""

FLOOR = 1e-6  # infidelities below it are all as good as exact, and are scored alike
SUFFICIENT = 1e-3  # a bound up to it does not stand in the way
EQUAL = 1e-9  # bounds within it are tied

SHORTEST = "RBM, range 1"
SHORT = "RBM, range 2"
CHAIN = "MPS"
ALL = "RBM, all sites"
FULL = "feed-forward"
ATTENTION = "attention"
BLOCKS = (SHORTEST, SHORT, CHAIN, ALL, FULL, ATTENTION)  # ties go to the first


def least_bound(profile):
    """The least bound on the infidelity; ties to the least capacity."""
    least = min(profile.bounds[name] for name in BLOCKS)
    return _least_capacity(profile, least + EQUAL)


def least_capacity(profile):
    """The least capacity whose bound is at most 1e-3; if none, the least bound."""
    if min(profile.bounds[name] for name in BLOCKS) > SUFFICIENT:
        return least_bound(profile)
    return _least_capacity(profile, SUFFICIENT)


def _least_capacity(profile, highest):
    allowed = [name for name in BLOCKS if profile.bounds[name] <= highest]
    return min(allowed, key=profile.bits.get)


def three_entropies(profile):
    """Low entropy short range, middle MPS, high attention, as on a ladder.

    Thirds of the largest entropy, for want of a reason for any other split.
    """
    if profile.density < 1 / 3:
        return SHORT
    return CHAIN if profile.density < 2 / 3 else ATTENTION


def entropy(profile):
    """MPS below half of the largest entropy, all sites above."""
    return CHAIN if profile.density < 0.5 else ALL


def growth(profile):
    """Area law to a short range, volume law to all sites.

    0.25 bits a site: above what critical chains of c = 1 gain a site from cut 1 to the
    middle at N = 8 or more, well below the slope of random states.
    """
    return SHORT if profile.growth < 0.25 else ALL


def flatness(profile):
    """A flat spectrum, as graph states have, to all sites; else MPS.

    0.1 nats²: a spread of the entanglement energies of a third of a nat.
    """
    return ALL if profile.capacity < 0.1 else CHAIN


def wide_spectrum(profile):
    """Capacity above 0.5 nats² to attention, below it MPS.

    ln² 2, a spread of one bit, rounded.
    """
    return ATTENTION if profile.capacity > 0.5 else CHAIN


def gap(profile):
    """One level far below the others to MPS, else all sites.

    2 nats: the second Schmidt weight is about an eighth of the first.
    """
    return CHAIN if profile.gap > 2.0 else ALL


def rank(profile):
    """MPS if half the bits of the half chain's dimension hold all but 1e-3; else all.

    Half the bits is a bond dimension of 4 at N = 8.
    """
    return CHAIN if profile.rank <= 0.5 else ALL


RULES = {
    # what the figures say: the rule
    "least bound": least_bound,
    "least capacity": least_capacity,
    "entropy, three steps": three_entropies,
    "entropy": entropy,
    "growth of entropy": growth,
    "flat spectrum": flatness,
    "wide spectrum": wide_spectrum,
    "gap": gap,
    "rank": rank,
}
