"""Ground states of quadratic Majorana Hamiltonians, with their parity.

The parity prod_j S_j decides how the bonds that close a ring couple, and which of the
fermion states are states of the spins: a sector's lowest state is the vacuum of its
normal modes if that has the sector's parity, else it holds the lowest mode.
"""

from dataclasses import replace

import numpy as np

from qlib.entanglement.freefermions.gaussian_state import GaussianState
from qlib.entanglement.freefermions.jordan_wigner import quadratic_form
from qlib.entanglement.freefermions.normal_modes import normal_modes

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
        entanglement only where a named parity tells the state from all others. (Where
        all couplings form open paths, energies below that are told apart as well.)

    Raises
    ------
    ValueError
        If a term is not bilinear in the fermions, or the parity is none.

    Notes
    -----
    O(N^3). Energies are accurate to rounding times the bandwidth; gaps of open chains
    whose Majorana couplings form paths to rounding times themselves, however small.
    """
    if parity not in (None, 1, -1):
        raise ValueError(f"parity: got {parity!r}; allowed: None, 1, -1")
    form = quadratic_form(H)
    sectors = (1, -1) if parity is None else (int(parity),)
    bonds = {s: s if np.any(form.closing) else 1 for s in sectors}
    solved = {
        b: normal_modes(form.open + b * form.closing) for b in set(bonds.values())
    }
    states = [
        (solved[bonds[sector]], sector, flipped)
        for sector in sectors
        for flipped in _lowest_two(solved[bonds[sector]], sector)
    ]
    reference = min(modes.vacuum_energy for modes in solved.values())
    # vacua are compared first: for an open chain their difference is exactly zero
    above = [
        modes.vacuum_energy - reference + modes.energies[list(flipped)].sum()
        for modes, _, flipped in states
    ]
    first, *others = np.argsort(above, kind="stable")
    gap = float(above[others[0]] - above[first]) if others else np.inf
    modes, sector, flipped = states[first]
    state = GaussianState(
        energy=float(form.constant + reference + above[first]),
        gap=gap,
        degenerate=bool(gap <= DEGENERATE * modes.energies.sum()),
        parity=sector,
        axis=form.axis,
        gamma=modes.covariance(flipped),
    )
    if not state.degenerate:
        return state
    if parity is None:
        refusal = "name a sector, parity=1 or parity=-1"
    elif modes.is_relative and gap > DEGENERATE * modes.energies[:2].sum():
        return state
    else:
        refusal = "the parity, though named, does not single out one"
    return replace(state, refusal=refusal)


def _lowest_two(modes, sector):
    """The modes held by the two lowest states of a parity (one state for one site)."""
    candidates = [(), (0, 1)] if modes.parity == sector else [(0,), (1,)]
    count = len(modes.energies)
    return [flipped for flipped in candidates if count > max(flipped, default=0)]
