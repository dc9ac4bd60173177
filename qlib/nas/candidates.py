"""Candidate blocks of an equal number of parameters."""

from collections.abc import Collection
from functools import lru_cache, partial

import torch

from qlib.arguments import integer_between
from qlib.nas.blocks import MPS, RBM, Attention, FeedForward, Jastrow

NAMES = (
    "RBM, range 1",
    "RBM, range 2",
    "RBM, all sites",
    "MPS",
    "attention",
    "feed-forward",
    "Jastrow",
)
TOLERANCE = 0.15  # of the wanted number of parameters
BOND_DIM = 4  # of the MPS whose number of parameters is the default
MOST = 4096  # hidden units or width that are tried
HEADS = 2  # of attention
DIMS = (32, 24, 16, 12, 10, 8, 6, 4, 2)  # of attention; the largest that fits


def candidates(num_sites, parameters=None, names=None, *, marshall=False):
    """Blocks to choose from, each of about `parameters` real numbers.

    Parameters
    ----------
    num_sites : int
        N, in [4, 128].
    parameters : int, optional
        A complex parameter counts as two. Those of a complex MPS of bond dimension 4
        unless given: 208, 336, 464 and 592 for N = 6, 8, 10 and 12, 3920 for 64.
    names : sequence of str, optional
        Of `NAMES`. Unless given, all but the Jastrow factor, whose number of
        parameters N (N + 1) is fixed: it joins where that is within 15 %.
    marshall : bool, optional
        Give all blocks the Marshall sign rule; see `Block`.

    Returns
    -------
    dict
        Name to `functools.partial` of the block, called with `generator=` alone.

    Raises
    ------
    ValueError
        If a name is not known, or the nearest size of one is not within 15 % of
        `parameters`.

    Notes
    -----
    What is free is fitted: hidden units of an RBM, bond dimension, width of the fully
    connected layer. Attention is one layer of two heads, of the largest dimension that
    leaves its perceptron half as many units: more units at a smaller one did worse on
    six families of `rules`, at points that are not judged. MPS are complex where that
    is within 15 %, otherwise real.
    """
    num_sites = integer_between("num_sites", num_sites, 4, 128)
    named = _known(NAMES if names is None else names)
    if parameters is None:
        parameters = _count(partial(MPS, num_sites, bond_dim=BOND_DIM))
    parameters = integer_between("parameters", parameters, 1, 10**7)
    found = {}
    for name in named:
        block = _nearest(name, num_sites, parameters, marshall)
        if abs(_count(block) - parameters) <= TOLERANCE * parameters:
            found[name] = block
        elif names is not None or name != "Jastrow":
            raise ValueError(
                f"parameters: got {parameters}, the nearest {name} has "
                f"{_count(block)}; allowed: within {TOLERANCE:.0%}"
            )
    return found


def _known(names):
    if isinstance(names, str) or not isinstance(names, Collection) or not len(names):
        raise ValueError(f"names: got {names!r}; allowed: a sequence of names")
    for name in names:
        if name not in NAMES:
            allowed = "; ".join(NAMES)
            raise ValueError(f"names: got {name!r}; allowed: {allowed}")
    return dict.fromkeys(names)


def _families(name, num_sites, marshall):
    """Sequences of ever larger blocks, as functions of an integer and its bounds."""
    given = {"marshall": marshall}
    if name.startswith("RBM"):
        reach = None if name == "RBM, all sites" else int(name[-1])

        def sized(hidden):
            alpha = hidden / num_sites
            return partial(RBM, num_sites, range=reach, alpha=alpha, **given)

        return [(sized, 1, MOST)]
    if name == "MPS":

        def sized(bond_dim, real):
            return partial(MPS, num_sites, bond_dim=bond_dim, real=real, **given)

        most = min(2 ** (num_sites // 2), 64)
        return [(partial(sized, real=real), 1, most) for real in (False, True)]
    if name == "attention":

        def sized(width, dim):
            sizes = {"dim": dim, "heads": HEADS, "width": width}
            return partial(Attention, num_sites, **sizes, **given)

        return [(partial(sized, dim=dim), dim // 2, MOST) for dim in DIMS]
    if name == "feed-forward":
        return [
            (
                lambda width: partial(FeedForward, num_sites, width=width, **given),
                1,
                MOST,
            )
        ]
    return [(lambda _: partial(Jastrow, num_sites, **given), 1, 1)]


@lru_cache
def _nearest(name, num_sites, parameters, marshall):
    """The nearest block of the first family with one within 15 %, else of any."""
    found = []
    for sized, low, high in _families(name, num_sites, marshall):
        while high - low > 1:
            middle = (low + high) // 2
            if _count(sized(middle)) > parameters:
                high = middle
            else:
                low = middle
        found.append(min(sized(low), sized(high), key=partial(_distance, parameters)))
        if _distance(parameters, found[-1]) <= TOLERANCE * parameters:
            return found[-1]
    return min(found, key=partial(_distance, parameters))


def _distance(parameters, block):
    return abs(_count(block) - parameters)


def _count(block):
    return block(generator=torch.Generator().manual_seed(0)).num_parameters
