"""The lowest levels and the ground state of a qubit Hamiltonian."""

from dataclasses import dataclass, field
from math import inf

import numpy as np

from qlib.arguments import integer_between, number_between, positive_integer
from qlib.entanglement.exact.blocks import blocks
from qlib.entanglement.exact.dimensions import (
    refuse_too_long,
    sector_dimension,
    subspace_bytes,
)
from qlib.entanglement.exact.levels import Levels
from qlib.entanglement.exact.sectors import Sector, check_conserved, check_not_empty
from qlib.entanglement.exact.space import ArraySpace
from qlib.entanglement.pauli import PauliSum
from qlib.entanglement.spectrum import (
    features,
    schmidt_probabilities_at_all_cuts,
    schmidt_values,
)

DEGENERATE = 1e-8  # of the bandwidth: levels closer than that count as one
ROUNDED = 64  # units of rounding of the energy: closer levels cannot be told apart
TRUSTED = {"float64": 1e-5, "float32": 1e-3}  # largest angle of a vector handed out
VECTORS = 12  # of a block held at once, beside the k levels and two of all spins


@dataclass(frozen=True, eq=False)
class GroundState:
    """Lowest levels of a Hamiltonian, and the state of the first.

    Attributes
    ----------
    energies : (k,) array
        Ascending, degenerate ones repeated.
    gap : float
        From the lowest level to the next, 0 up to rounding if degenerate; inf in a
        sector of one state.
    degenerate : bool
        Whether the gap is below 1e-8 of the bandwidth (in float32 2e-6), the bandwidth
        being the largest minus the smallest Ritz value seen.
    sector : Sector or None
        As asked for.
    residual : float
        Norm of (H − E)|psi>, by one more product; of a degenerate level, Lanczos's
        own estimate.
    angle : float
        Bound on the angle, in radians, between the vector and the ground state:
        residual over the gap inside the block of like parity.
    products : int
        Products H|psi> used.
    dtype : str
        As asked for.
    """

    energies: np.ndarray
    gap: float
    degenerate: bool
    sector: Sector | None
    residual: float
    angle: float
    products: int
    dtype: str
    _vector: object = field(repr=False)

    @property
    def vector(self):
        """Ground state, (2^N,), normalised, NumPy or torch as computed.

        Raises
        ------
        ValueError
            For a degenerate level, of which no single state is the ground state, and
            for a vector whose `angle` is above 1e-5 (in float32 1e-3).
        """
        if self.degenerate:
            raise ValueError(
                f"state: got a degenerate ground state, its two lowest energies "
                f"{self.energies[0]:.12g} and {self.energies[0] + self.gap:.12g}"
                f"{_inside(self.sector)}; allowed: a sector that holds one of them only"
            )
        if self.angle > TRUSTED[self.dtype]:
            raise ValueError(
                f"state: got one that may be off by {self.angle:.3g} radians; "
                f"allowed: at most {TRUSTED[self.dtype]}, as in a sector that parts "
                f"close levels, or in float64"
            )
        return self._vector

    def entropies(self):
        """Von Neumann entropies at the cuts 1..N-1 in nats: (N-1,). O(2^(3N/2)).

        Raises
        ------
        ValueError
            As `vector`.

        See Also
        --------
        qlib.entanglement.spectrum.schmidt_probabilities_at_all_cuts
        """
        spectra = schmidt_probabilities_at_all_cuts(self.vector)
        return np.array([features(p).entropy for p in spectra])

    def features(self, cut, epsilon=1e-8):
        """`spectrum.Features` of a cut, in nats.

        Parameters
        ----------
        cut : int
            In [1, N-1]: between the sites 0..cut-1 and the rest.
        epsilon : float
            Weight that `rank` may discard.

        Raises
        ------
        ValueError
            As `vector`, and for a cut that is none.

        See Also
        --------
        qlib.entanglement.spectrum.schmidt_values : cuts around any set of sites too
        """
        vector = self.vector
        cut = integer_between("cut", cut, 1, len(vector).bit_length() - 2)
        p = schmidt_values(vector, cut) ** 2
        return features(p / p.sum(), epsilon)


def ground_state(
    H, k=2, sector=None, *, device=None, dtype="float64", tol=1e-11, rng=0
):
    """The k lowest energies of H and its ground state, by Lanczos iteration.

    Levels are found one after another, each by an iteration orthogonal to the states
    of those before, so that degenerate ones are found as often as they occur. A
    Hamiltonian that conserves Π X or Π Z is solved in its two parities apart. Levels
    too close for an iteration to part are parted by rotation in their span. A product
    H|psi> costs O(2^N N) for a chain of short range, and some 100 to 400 are needed.

    Parameters
    ----------
    H : PauliSum
    k : int
        Number of levels, at most the dimension. The second level is found for k = 1
        too, since it tells whether the first is degenerate.
    sector : Sector, optional
        Conserved quantities to fix; all states if None.
    device : str or torch.device, optional
        NumPy if None, torch on that device, such as "cpu" or "cuda", otherwise.
    dtype : str
        "float64", or "float32" at half the time and memory.
    tol : float
        Bound aimed at on the angle in radians between the vector and the ground state,
        in [0, 1e-3]; rounding sets one of about 4e-15 bandwidths over the gap. Errors
        of expectation values are of its order, that of the energy of its square.
        Excited energies are found to 1e-9 bandwidths at worst, as a rule to 1e-14.
    rng : int or numpy.random.Generator
        Of the start vectors. One seed gives the same result bit by bit.

    Returns
    -------
    GroundState

    See Also
    --------
    qlib.entanglement.freefermions, qlib.entanglement.dmrg : longer chains

    Raises
    ------
    ValueError
        For a sector that does not commute with H or is empty, k beyond its dimension,
        more sites than fit in memory, and a device that is not there.

    References
    ----------
    C. Lanczos, J. Res. Natl. Bur. Stand. 45, 255 (1950); A. W. Sandvik, AIP Conf.
    Proc. 1297, 135 (2010), on symmetries.
    """
    _check_types(H, sector)
    k = positive_integer("k", k)
    tol = number_between("tol", tol, 0.0, 1e-3)
    space = ArraySpace(device, dtype, H.is_real)
    dimension = _checked_dimension(
        H, sector, lambda n: _bytes_needed(n, k, H, sector, space)
    )
    if k > dimension:
        raise ValueError(
            f"k: got {k}; allowed: at most {dimension}, the number of states"
            f"{_inside(sector)}"
        )
    generator = np.random.default_rng(rng)
    parts = [Levels(block, tol, generator) for block in blocks(H, sector, space)]
    energies = _lowest(parts, min(max(k, 2), dimension))
    lowest = min(parts, key=lambda levels: levels.energies[0])
    gap = energies[1] - energies[0] if dimension > 1 else inf
    bandwidth = max(levels.highest for levels in parts) - energies[0]
    degenerate = gap <= max(
        max(DEGENERATE, 16 * space.eps) * bandwidth,
        ROUNDED * space.eps * abs(energies[0]),
    )
    if degenerate:
        residual, angle, vector = lowest.estimate, inf, None
    else:
        residual, angle, psi = lowest.ground()
        vector = lowest.block.embed(psi)
    return GroundState(
        energies=np.array(energies[:k]),
        gap=gap,
        degenerate=bool(degenerate),
        sector=sector,
        residual=residual,
        angle=angle,
        products=sum(levels.products for levels in parts),
        dtype=dtype,
        _vector=vector,
    )


def _lowest(parts, count):
    """The `count` lowest energies of all blocks, ascending."""
    for levels in parts:
        levels.find(inf)
    while True:
        energies = sorted(e for levels in parts for e in levels.energies)
        ceiling = energies[count - 1] if len(energies) >= count else inf
        open_ones = [p for p in parts if p.has_more and p.energies[-1] < ceiling]
        if not open_ones:
            return energies[:count]
        min(open_ones, key=lambda levels: levels.energies[-1]).find(ceiling)


def spectrum(H, sector=None):
    """All energies of H, or of a sector, ascending, by dense diagonalisation.

    O(8^N); Π X or Π Z, where conserved, saves a factor of four.

    Parameters
    ----------
    H : PauliSum
    sector : Sector, optional

    Returns
    -------
    (dimension,) array

    Raises
    ------
    ValueError
        For a sector that does not commute with H or is empty, and for matrices that do
        not fit in memory.
    """
    _check_types(H, sector)
    space = ArraySpace(None, "float64", H.is_real)
    _checked_dimension(
        H, sector, lambda n: 2 * space.itemsize * sector_dimension(n, sector) ** 2
    )
    levels = [
        np.linalg.eigvalsh(block.operator.dense()) for block in blocks(H, sector, space)
    ]
    return np.sort(np.concatenate(levels))


def _check_types(H, sector):
    if not isinstance(H, PauliSum):
        raise ValueError(f"H: got {type(H).__name__}; allowed: PauliSum")
    if not (sector is None or isinstance(sector, Sector)):
        raise ValueError(f"sector: got {sector!r}; allowed: a Sector or None")


def _bytes_needed(N, k, H, sector, space):
    """Bytes that k levels take on N sites of a chain like H."""
    dimension = sector_dimension(N, sector)
    vectors = dimension * (VECTORS + min(k, 1 << N)) + (2 << N)
    if sector is None or (
        sector.sz is None and None in (sector.x_parity, sector.z_parity)
    ):
        return space.itemsize * vectors
    block = Sector(sz=0, x_parity=1) if sector == Sector(sz=0) else sector
    flips = {
        tuple(i for i, letter in zip(sites, letters, strict=True) if letter != "Z")
        for letters, sites, _ in H.terms
    }
    matrix = subspace_bytes(N, block, len(flips), space.itemsize)
    return space.itemsize * vectors + matrix


def _inside(sector):
    return "" if sector is None else f" of {sector}"


def _checked_dimension(H, sector, needed):
    """Dimension of a sector that is allowed and fits in memory."""
    if sector is not None:
        check_not_empty(H.num_sites, sector)
    refuse_too_long(H.num_sites, sector, needed)
    if sector is not None:
        check_conserved(H, sector)
    return sector_dimension(H.num_sites, sector)
