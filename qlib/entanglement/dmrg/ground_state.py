"""Ground states of chains by the two-site density-matrix renormalisation group (DMRG).

References
----------
White, Phys. Rev. Lett. 69, 2863 (1992); Schollwöck, Ann. Phys. 326, 96 (2011).
"""

from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from qlib.arguments import integer_between, number_between, positive_integer
from qlib.entanglement.dmrg.block import Block, apply
from qlib.entanglement.dmrg.effective import TwoSites, lowest
from qlib.entanglement.dmrg.mpo import mirrored, mpo
from qlib.entanglement.dmrg.mps import MPS, from_center, kept, moments
from qlib.entanglement.dmrg.symmetries import broken_symmetries
from qlib.entanglement.pauli import PauliSum
from qlib.entanglement.spectrum import features

LANCZOS_STEPS = 8
"""Products at most a pair of sites. Fewer cost more sweeps: the critical Ising chain of
64 sites takes 8 sweeps with 4 products, 5 with 8, 4 with 12, the last two in the same
time."""

RESIDUAL = 0.01
"""Residual, in units of sqrt(energy_tol), at which a pair of sites is left: the energy
is off by its square over the gap, the Schmidt values by itself."""

MIXING = 1e-3
"""Share mixed in during the first sweep. Without it couplings around a ring got stuck
short of an eigenstate: the 2 x 2 toric code in a field of 0.3 from all of 30 starts,
Ising rings of 10 and 12 sites with h = 0.3 from all of 10. With it these rings gave the
ground state from every start and the toric code an eigenstate, which in 7 starts was
the first excited one (9 with 1e-4, 5 with 0.1)."""

EIGENSTATE = 1e-6
"""Variance, in units of the largest squared coefficient, above which a stationary state
is not called converged; or 1e4 times the truncation where that is more."""


@dataclass(frozen=True)
class DMRGResult:
    """What `dmrg` found.

    Attributes
    ----------
    energy : float
        <H> of `mps`: above the ground-state energy, never below (but for rounding).
    probabilities : list of arrays
        Squared Schmidt values at the cuts 1 … N-1, descending, each summing to 1.
    bond_dims : list of int
        Their numbers.
    sweeps : int
        Sweeps made, each there and back.
    truncation_error : float
        Largest weight discarded at a bond in the last sweep.
    variance : float
        <H^2> - <H>^2 of `mps`: an eigenvalue of H lies within its square root of
        `energy`. The error in energy is about variance / gap where the state is the
        ground state but for a small part.
    mps : MPS
    converged : bool
        Whether the last sweep moved the energy by less than `energy_tol`,
        `max_bond_dim` nowhere cost more weight than `truncation`, and the variance is
        that of an eigenstate. An eigenstate need not be the lowest.
    message : str
        Which of these failed, if any.
    broken_symmetries : tuple of str
        Pauli strings that commute with H and do not leave the state as it is; not empty
        only if the state found is one of several of the same energy (or closer in
        energy than the sweeps resolve). Empty is no proof that the ground state is
        single: translations and reflections are not looked at. See the notes of `dmrg`.
    """

    energy: float
    probabilities: list = field(repr=False)
    bond_dims: list = field(repr=False)
    sweeps: int
    truncation_error: float
    variance: float
    mps: MPS = field(repr=False)
    converged: bool
    message: str
    broken_symmetries: tuple

    def entropies(self):
        """Von Neumann entropies at the cuts 1..N-1 in nats: (N-1,).

        Weight that was discarded is missing: w moves an entropy by about w ln(1 / w).
        """
        return np.array([features(p).entropy for p in self.probabilities])

    def features(self, cut, epsilon=1e-8):
        """`spectrum.Features` of a cut, in nats.

        Parameters
        ----------
        cut : int
            In [1, N-1]: between the sites 0..cut-1 and the rest.
        epsilon : float
            Weight that `rank` may discard, beside what `mps` left out.

        Raises
        ------
        ValueError
            For a cut that is none.
        """
        cut = integer_between("cut", cut, 1, len(self.probabilities))
        return features(self.probabilities[cut - 1], epsilon)


def dmrg(
    H, *, max_bond_dim=128, truncation=1e-12, energy_tol=1e-10, max_sweeps=20, rng=0
):
    """Ground state of a chain as a matrix product state, by two-site DMRG.

    Terms of `H` may have any range and any number of letters, the chain may be open or
    closed; the bond dimension that is needed grows with the entanglement between left
    and right (a ring has two cuts).

    Parameters
    ----------
    H : PauliSum
        On at least 2 sites.
    max_bond_dim : int, default 128
        Largest number chi of Schmidt values kept. 24 suffices for the critical
        transverse-field Ising chain of 64 sites to 1e-9, 64 for the open Heisenberg
        chain of 50 sites to 1e-8.
    truncation : float, default 1e-12
        Weight (sum of squared Schmidt values) that may be discarded at a bond.
    energy_tol : float, default 1e-10
        Sweeps end when one moves the energy by less. In the units of H. Schmidt values
        are off by about a hundredth of its square root.
    max_sweeps : int, default 20
        Sweeps at most, each there and back.
    rng : int or numpy.random.Generator, default 0
        Draws the start, a product of random states of the sites: it has a part in every
        symmetry sector.

    Returns
    -------
    DMRGResult

    Raises
    ------
    ValueError
        By the argument's name.

    Notes
    -----
    Where the ground state is degenerate, or nearly so (Ising chains with a field below
    the coupling, whose two lowest states differ by about h^N), DMRG returns one state
    of the space, as a rule one of low entanglement such as "all up": its entropy is
    then not that of the symmetric ground state (which has ln 2 more). It is said in
    `broken_symmetries`, not mended: no sector can be asked for here. It is not said
    where the states differ by a translation or a reflection, such as the two dimer
    states of the Majumdar-Ghosh ring. Levels closer than the sweeps resolve take many
    sweeps (the XXZ chain of 64 sites with Delta = 2 takes 16, its two antiferromagnets
    mixing slowly), or end in an excited eigenstate, whose variance vanishes as well:
    other starts (`rng`) are the test.

    The first sweep adds to each density matrix a share of the states which the terms of
    H cut at the bond reach (White, Phys. Rev. B 72, 180403 (2005)): long-range terms
    bring their correlations in from the start.

    Cost per sweep O(N chi^3 w) for an MPO of w states, and O(N chi^2 w) of memory; the
    variance takes O(N chi^3 w^2) once. Arithmetic is real for a real H.
    """
    _check(H, max_bond_dim, truncation, energy_tol, max_sweeps)
    with threadpool_limits(1, user_api="blas"):  # small matrices in a loop
        return _sweeps(H, max_bond_dim, truncation, energy_tol, max_sweeps, rng)


def _check(H, max_bond_dim, truncation, energy_tol, max_sweeps):
    if not isinstance(H, PauliSum):
        raise ValueError(f"H: got {type(H).__name__}; allowed: a PauliSum")
    if H.num_sites < 2:
        raise ValueError(f"H: got num_sites={H.num_sites}; allowed: at least 2 sites")
    positive_integer("max_bond_dim", max_bond_dim)
    number_between("truncation", truncation, 0.0, 0.1)
    number_between("energy_tol", energy_tol, 0.0, np.inf, open_low=True)
    positive_integer("max_sweeps", max_sweeps)


def _sweeps(H, max_bond_dim, truncation, energy_tol, max_sweeps, rng):
    tensors = mpo(H)
    left, right, theta = _start(tensors, np.random.default_rng(rng))
    residual = RESIDUAL * np.sqrt(energy_tol)
    energy, moved, sweeps = np.inf, np.inf, 0
    while sweeps < max_sweeps and not moved < energy_tol:
        before, discarded = energy, 0.0
        mixing = 0.0 if sweeps else MIXING
        for _ in range(2):  # there and back
            energy, theta, lost = _half_sweep(
                left, right, theta, max_bond_dim, truncation, residual, mixing
            )
            discarded = max(discarded, lost)
            left, right, theta = right, left, np.ascontiguousarray(theta.T)
        sweeps += 1
        moved = abs(energy - before)
    mps = from_center(theta, right.isometries, truncation)
    energy, variance = moments(mps, tensors)
    shortfall = _shortfall(
        H, (moved, energy_tol), (discarded, truncation, max_bond_dim), variance
    )
    return DMRGResult(
        energy=energy,
        probabilities=[values**2 for values in mps.schmidt_values],
        bond_dims=[len(values) for values in mps.schmidt_values],
        sweeps=sweeps,
        truncation_error=discarded,
        variance=variance,
        mps=mps,
        converged=not shortfall,
        message=shortfall
        or f"converged: the last sweep moved the energy by {moved:.1e}",
        broken_symmetries=broken_symmetries(H, mps),
    )


def _start(tensors, rng):
    """Empty left block, right block of sites N-1 … 2, two-site tensor; random."""
    dtype = tensors[0].dtype
    states = rng.normal(size=(len(tensors), 2)).astype(dtype)
    if dtype == np.complex128:
        states += 1j * rng.normal(size=states.shape)
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    left, right = Block(tensors), Block(mirrored(tensors))
    for state in states[:1:-1]:
        right.push(state[:, None], right.enlarged())
    return left, right, np.outer(states[0], states[1])


def _half_sweep(left, right, theta, max_bond_dim, truncation, residual, mixing):
    """Minimise over each pair of sites from the left end to the right one.

    The sites move from `right` to `left`; the first pair was minimised by the half
    sweep before.

    Returns
    -------
    energy : float
    theta : (i vL) (j vR) array
        Of the last pair.
    discarded : float
        Largest weight left behind at a bond.
    """
    discarded, alone = 0.0, not right.isometries
    while True:
        operators_left = left.enlarged()
        if left.isometries or alone:
            pair = TwoSites(operators_left, right.enlarged())
            energy, theta = lowest(pair, theta, LANCZOS_STEPS, residual)
        if not right.isometries:
            return energy, theta, discarded
        isometry, center, lost = _split(
            theta, max_bond_dim, truncation, operators_left, mixing
        )
        discarded = max(discarded, lost)
        left.push(isometry, operators_left)
        dim = len(center)
        # vL (i vR) -> (i vL) [vR], [vR] (j vR')
        center = center.reshape(dim, 2, -1).transpose(1, 0, 2).reshape(2 * dim, -1)
        theta = center @ right.pop().T


def _split(theta, max_bond_dim, truncation, operators, mixing):
    """theta ≈ isometry @ center, by the eigenvectors of the density matrix.

    Half the time of singular values, whose digits below 1e-8 are not needed here. With
    `mixing`, that share of the states which the left half's operators reach is added.
    """
    density = theta @ theta.conj().T  # (i vL) (i* vL*)
    rank = min(theta.shape)
    if mixing:
        added = np.zeros_like(density)
        for operator in operators[1:]:
            reached = apply(operator, theta)
            added += reached @ reached.conj().T
        weight = np.trace(added).real
        density += mixing / (weight or 1.0) * added
        rank = len(density)
    weights, vectors = np.linalg.eigh(density)
    weights, vectors = weights[: -rank - 1 : -1], vectors[:, : -rank - 1 : -1]
    count, lost = kept(weights, max_bond_dim, truncation)
    isometry = np.ascontiguousarray(vectors[:, :count])
    center = isometry.conj().T @ theta  # vL (j vR)
    if mixing:
        lost = max(0.0, 1.0 - np.linalg.norm(center) ** 2)
    return isometry, center, lost


def _shortfall(H, stationary, cut, variance):
    """Why the result is not converged; empty if it is."""
    moved, energy_tol = stationary
    discarded, truncation, max_bond_dim = cut
    largest = max((abs(term[2]) for term in H.terms), default=0.0)
    allowed = max(EIGENSTATE, 1e4 * truncation) * largest**2
    if not moved < energy_tol:
        return (
            f"not converged: the last sweep moved the energy by {moved:.1e}, "
            f"energy_tol={energy_tol:.1e}"
        )
    if discarded > truncation:
        return (
            f"not converged: max_bond_dim={max_bond_dim} discards a weight of "
            f"{discarded:.1e}, more than truncation={truncation:.1e}"
        )
    if variance > allowed:
        return (
            f"not converged: stationary, but no eigenstate: variance {variance:.1e}, "
            f"more than {allowed:.1e}"
        )
    return ""
