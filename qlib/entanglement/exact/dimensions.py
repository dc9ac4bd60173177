"""How many states a sector has, and the refusal of chains too long for memory."""

from math import ceil, comb

from qlib.entanglement.memory import amount, available


def sector_dimension(N, sector):
    """Number of states of a sector; that of all spins for None."""
    if sector is None:
        return 1 << N
    if sector.sz is not None:
        states = comb(N, round(N / 2 - sector.sz))
        return states // 2 if sector.x_parity is not None else states
    parities = (sector.x_parity, sector.z_parity)
    return 1 << (N - 2 + parities.count(None))


def subspace_bytes(N, sector, flips, itemsize):
    """Bytes of the matrix of a sector of fixed sz or of both parities, while sorted.

    Parameters
    ----------
    N : int
    sector : Sector
    flips : int
        Entries a row: the sets of sites that the strings of H flip.
    itemsize : int
        Bytes of an entry.
    """
    return 2 * sector_dimension(N, sector) * flips * (itemsize + 8)


def refuse_too_long(N, sector, needed):
    """Raise ValueError where N sites do not fit, naming how many would.

    Parameters
    ----------
    N : int
    sector : Sector or None
    needed : callable
        Bytes as a function of the number of sites.
    """
    free = available()
    if needed(N) <= free:
        return
    sz = None if sector is None else sector.sz
    step, least = (1, 1) if sz is None else (2, max(1, ceil(2 * abs(sz))))
    shorter = range(N - step, least - 1, -step)
    fits = next((n for n in shorter if needed(n) <= free), 0)
    raise ValueError(
        f"H: got {N} sites, which needs {amount(needed(N))}; allowed: what fits in the "
        f"{amount(free)} available, as {fits} sites do; longer chains: freefermions, "
        f"dmrg"
    )
