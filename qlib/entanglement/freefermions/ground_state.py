"""Ground states of quadratic Majorana Hamiltonians, with their parity.

The parity prod_j S_j decides how the bonds that close a ring couple, and which of the
fermion states are states of the spins: a sector's lowest state is the vacuum of its
normal modes if that has the sector's parity, else it holds the lowest mode.
"""

import numpy as np

from qlib.entanglement.freefermions.gaussian_state import GaussianState
from qlib.entanglement.freefermions.jordan_wigner import quadratic_form
from qlib.entanglement.freefermions.normal_modes import normal_modes
from qlib.entanglement.pauli import PauliSum

DEGENERATE = 1e-8  # of the bandwidth: the rule of exact diagonalisation


def ground_state(H, *, parity=None):
    """The ground state of a spin chain that is quadratic in fermions.

    Parameters
    ----------
    H : PauliSum
        Every term a single letter S or a string a S ... S b of neighbouring sites with
        a, b other than S (S = X for `tfim` and `cluster`, Z for `xy`, `ssh`,
        `rainbow_xx`, `random_singlet`, `xxz` at delta = 0), around a ring or not.
    parity : {None, 1, -1}
        Eigenvalue of prod_j S_j, the sector to solve. By default both are solved.

    Returns
    -------
    GaussianState
        The lowest state, and the gap to the next one of the sectors solved. One that
        is degenerate, a gap within 1e-8 of the bandwidth, keeps its energies but gives
        entanglement only where a named parity tells the state from all others:
        ``ground_state(H, parity=ground_state(H).parity)`` is the lowest of all. (Where
        all couplings form open paths, smaller gaps are resolved too.)

    Raises
    ------
    ValueError
        If H is no PauliSum, a term is not bilinear in the fermions, or the parity is
        none.

    Notes
    -----
    O(N^3). Energies are accurate to rounding times the bandwidth; gaps of open chains
    whose Majorana couplings form paths to rounding times themselves, however small.
    """
    if not isinstance(H, PauliSum):
        raise ValueError(f"H: got {type(H).__name__}; allowed: a PauliSum")
    if parity not in (None, 1, -1):
        raise ValueError(f"parity: got {parity!r}; allowed: None, 1, -1")
    form = quadratic_form(H)
    sectors = (1, -1) if parity is None else (int(parity),)
    reference, levels = _levels(form, sectors)
    excitation, modes, sector, flipped = levels[0]
    gap = levels[1][0] - excitation if len(levels) > 1 else np.inf
    width = DEGENERATE * modes.energies.sum()
    degenerate = gap <= width
    return GaussianState(
        energy=float(form.constant + reference + excitation),
        gap=float(gap),
        degenerate=bool(degenerate),
        parity=sector,
        axis=form.axis,
        _covariance=modes.covariance(flipped),
        _refusal=_refusal(levels, width, parity) if degenerate else "",
    )


def _levels(form, sectors):
    """The lowest vacuum energy, and ascending (excitation, modes, sector, flipped).

    The two lowest states of each sector, their energies above that vacuum. Vacua are
    compared first: for an open chain, whose sectors share one, the difference is
    exactly zero, and no excitation is lost to the rounding of the vacuum energy.
    """
    bonds = {s: s if np.any(form.closing) else 1 for s in sectors}
    solved = {
        sign: normal_modes(form.open + sign * form.closing)
        for sign in set(bonds.values())
    }
    reference = min(modes.vacuum_energy for modes in solved.values())
    levels = []
    for sector in sectors:
        modes = solved[bonds[sector]]
        lowest = [(), (0, 1)] if modes.parity == sector else [(0,), (1,)]
        for flipped in lowest:
            if len(modes.energies) > max(flipped, default=0):  # one site has no second
                excitation = modes.energies[list(flipped)].sum()
                excitation += modes.vacuum_energy - reference
                levels.append((excitation, modes, sector, flipped))
    return reference, sorted(levels, key=lambda level: level[0])


def _refusal(levels, width, parity):
    """What would single out a state of a degenerate ground level; empty if `parity`.

    `width` is that of the level, in energy.
    """
    single = []
    for sector in (1, -1):
        own = [level for level in levels if level[2] == sector]
        if own and own[0][0] - levels[0][0] <= width and _is_single(own):
            single.append(sector)
    if parity in single:
        return ""
    if single:
        return " or ".join(f"parity={sector}" for sector in single) + " named"
    return "a Hamiltonian whose sectors of a parity have one ground state each"


def _is_single(levels):
    """Whether the lowest of the levels of one parity can be told from the next."""
    if len(levels) == 1:
        return True
    modes, gap = levels[0][1], levels[1][0] - levels[0][0]
    if gap > DEGENERATE * modes.energies.sum():
        return True
    # far below the bandwidth: is it more than the rounding of the modes?
    return modes.is_relative and gap > DEGENERATE * modes.energies[:2].sum()
