"""Ising, XY, cluster and toric-code models, in Pauli matrices X, Y, Z."""

from itertools import combinations

from qlib.arguments import number_between, positive_integer
from qlib.entanglement.hamiltonians.couplings import (
    bonds,
    chain,
    fields,
    per,
    strings,
)
from qlib.entanglement.pauli import PauliSum


def tfim(N, coupling=1.0, field=1.0, *, boundary="open"):
    """Transverse-field Ising chain, H = −Σ_i J_i Z_i Z_{i+1} − Σ_i h_i X_i.

    J > 0 is ferromagnetic. Gapped with two ordered ground states for h < J (split by
    O((h/J)^N) on a finite chain, so name a sector), gapped and unique for h > J,
    critical at h = J with central charge 1/2. Commutes with Π_i X_i. Free fermions.

    Parameters
    ----------
    N : int
        Sites, at least 2.
    coupling : float or (bonds,) array
        J.
    field : float or (N,) array
        h, the transverse field.
    boundary : {"open", "periodic"}

    Returns
    -------
    PauliSum

    References
    ----------
    P. Pfeuty, Annals of Physics 57, 79 (1970).
    """
    N, periodic = chain(N, boundary)
    places = bonds(N, periodic)
    J = per("bond", "coupling", coupling, len(places))
    h = per("site", "field", field, N)
    return PauliSum(N, (*strings("ZZ", places, -J), *fields("X", -h)))


def xy(N, gamma=1.0, field=1.0, *, coupling=1.0, boundary="open"):
    """XY chain in a field, Pauli matrices.

    H = −Σ_i J_i [(1 + γ_i)/2 X_i X_{i+1} + (1 − γ_i)/2 Y_i Y_{i+1}] − Σ_i h_i Z_i.

    γ = 1 is the Ising chain in other letters (bonds of XX, field along
    Z), γ = 0 the XX chain. Critical at |h| = J for γ ≠ 0 (central charge 1/2) and on
    γ = 0, |h| < J (central charge 1); gapped elsewhere, ordered for |h| < J. On the
    circle h² + γ² J² = J² the ring has product ground states of energy −N J. Commutes
    with Π_i Z_i, and for γ = 0 with Σ_i Z_i. Free fermions.

    Parameters
    ----------
    N : int
        Sites, at least 2.
    gamma : float or (bonds,) array
        γ, the anisotropy.
    field : float or (N,) array
        h, along Z.
    coupling : float or (bonds,) array
        J.
    boundary : {"open", "periodic"}

    Returns
    -------
    PauliSum

    References
    ----------
    E. Lieb, T. Schultz, D. Mattis, Annals of Physics 16, 407 (1961); E. Barouch,
    B. McCoy, Phys. Rev. A 3, 786 (1971); product states: J. Kurmann, H. Thomas,
    G. Müller, Physica A 112, 235 (1982).
    """
    N, periodic = chain(N, boundary)
    places = bonds(N, periodic)
    J = per("bond", "coupling", coupling, len(places))
    g = per("bond", "gamma", gamma, len(places))
    h = per("site", "field", field, N)
    terms = (
        *strings("XX", places, -J * (1 + g) / 2),
        *strings("YY", places, -J * (1 - g) / 2),
        *fields("Z", -h),
    )
    return PauliSum(N, terms)


def cluster(N, field=0.0, *, coupling=1.0, boundary="open"):
    """Cluster chain in a field, H = −Σ_i J_i Z_{i−1} X_i Z_{i+1} − Σ_i h_i X_i.

    At h = 0 the cluster state: on the ring unique with gap 2J and four equal Schmidt
    probabilities at a cut in two arcs (two entangled ends of ln 2 each), on the open
    chain four-fold degenerate. Topological, protected by Z2 × Z2, for |h| < J; trivial
    for |h| > J; critical at |h| = J with central charge 1. Commutes with Π X over the
    even and over the odd sites (on a ring only if N is even; always with Π_i X_i).

    Parameters
    ----------
    N : int
        Sites, at least 3.
    field : float or (N,) array
        h, along X.
    coupling : float or array
        J; of shape (N − 2,) for the open chain, entry k belonging to the string
        centred on site k + 1; of shape (N,) for the ring, entry i centred on site i.
    boundary : {"open", "periodic"}

    Returns
    -------
    PauliSum

    References
    ----------
    H. J. Briegel, R. Raussendorf, Phys. Rev. Lett. 86, 910 (2001); A. C. Doherty,
    S. D. Bartlett, Phys. Rev. Lett. 103, 020506 (2009); W. Son et al., Europhysics
    Letters 95, 50001 (2011).
    """
    N, periodic = chain(N, boundary, fewest=3)
    centres = range(N) if periodic else range(1, N - 1)
    places = [((i - 1) % N, i, (i + 1) % N) for i in centres]
    J = per("string", "coupling", coupling, len(places))
    h = per("site", "field", field, N)
    return PauliSum(N, (*strings("ZXZ", places, -J), *fields("X", -h)))


def lmg(N, field=1.0, *, coupling=1.0):
    """Lipkin-Meshkov-Glick model, H = −(1/N) Σ_{i<j} J_ij Z_i Z_j − Σ_i h_i X_i.

    Every spin couples to every other, so there is no boundary. With uniform J > 0 and h
    the ground state is symmetric under permutations (Dicke basis, N + 1 states);
    ordered with two nearly degenerate ground states for h < J, unique for h > J,
    critical at h = J with half-system entropy (1/6) ln N. Commutes with Π_i X_i.

    Parameters
    ----------
    N : int
        Sites, at least 2.
    field : float or (N,) array
        h, the transverse field.
    coupling : float or (N(N−1)/2,) array
        J of the pairs (0, 1), (0, 2), …, (N−2, N−1), before the division by N.

    Returns
    -------
    PauliSum

    References
    ----------
    H. J. Lipkin, N. Meshkov, A. J. Glick, Nuclear Physics 62, 188 (1965); entropy:
    T. Barthel, S. Dusuel, J. Vidal, Phys. Rev. Lett. 97, 220402 (2006).
    """
    N, _ = chain(N, "open")
    pairs = list(combinations(range(N), 2))
    J = per("pair", "coupling", coupling, len(pairs))
    h = per("site", "field", field, N)
    return PauliSum(N, (*strings("ZZ", pairs, -J / N), *fields("X", -h)))


def long_range_ising(N, alpha, field=1.0, *, coupling=1.0):
    """Ising chain with power-law bonds in a transverse field.

    H = −Σ_{i<j} J_ij |i − j|^−α Z_i Z_j − Σ_i h_i X_i.

    Open chain, without Kac's rescaling: for α <= 1 the energy of a pair of sites grows
    with N. J > 0 is ferromagnetic: ordered at small h, unique at large h; the
    transition has the exponents of the short-range chain for α > 3, of mean field for
    α < 5/3, and others between; its field lies above J and tends to J as α grows.
    Commutes with Π_i X_i.

    Parameters
    ----------
    N : int
        Sites, at least 2.
    alpha : float
        Exponent, >= 0.
    field : float or (N,) array
        h, the transverse field.
    coupling : float or (N(N−1)/2,) array
        J of the pairs (0, 1), (0, 2), …, (N−2, N−1), before the power law.

    Returns
    -------
    PauliSum

    References
    ----------
    A. Dutta, J. K. Bhattacharjee, Phys. Rev. B 64, 184106 (2001); T. Koffel,
    M. Lewenstein, L. Tagliacozzo, Phys. Rev. Lett. 109, 267203 (2012).
    """
    N, _ = chain(N, "open")
    alpha = number_between("alpha", alpha, 0, float("inf"))
    pairs = list(combinations(range(N), 2))
    J = per("pair", "coupling", coupling, len(pairs))
    h = per("site", "field", field, N)
    decay = [(j - i) ** -alpha for i, j in pairs]
    return PauliSum(N, (*strings("ZZ", pairs, -J * decay), *fields("X", -h)))


def toric_code(Lx, Ly, field=0.0):
    """Toric code in a field, H = −Σ_v A_v − Σ_p B_p − Σ_e h_e Z_e.

    A_v is the product of X over the four edges at a vertex, B_p the product of Z over
    the four edges around a plaquette of an Lx × Ly torus. At h = 0 all of them commute:
    E0 = −2 Lx Ly, four ground states, Z2 topological order, which ends at h ≈ 0.328
    (uniform h; the dual of the square-lattice Ising model in a transverse field).

    The N = 2 Lx Ly qubits sit on the edges, column by column: site 2 (x Ly + y) joins
    the vertices (x, y) and (x + 1, y), site 2 (x Ly + y) + 1 joins (x, y) and
    (x, y + 1). The cut after 2 Ly c sites splits the torus between columns.

    Parameters
    ----------
    Lx, Ly : int
        Vertices in either direction, at least 2.
    field : float or (2 Lx Ly,) array
        h, along Z, per edge.

    Returns
    -------
    PauliSum

    References
    ----------
    A. Kitaev, Annals of Physics 303, 2 (2003); S. Trebst et al., Phys. Rev. Lett. 98,
    070602 (2007).
    """
    for name, length in (("Lx", Lx), ("Ly", Ly)):
        if positive_integer(name, length) < 2:
            raise ValueError(f"{name}: got {length!r}; allowed: an integer >= 2")
    N = 2 * Lx * Ly
    h = per("edge", "field", field, N)

    def along_x(x, y):
        return 2 * (x % Lx * Ly + y % Ly)

    def along_y(x, y):
        return along_x(x, y) + 1

    vertices = [(x, y) for x in range(Lx) for y in range(Ly)]
    stars = [
        (along_x(x, y), along_x(x - 1, y), along_y(x, y), along_y(x, y - 1))
        for x, y in vertices
    ]
    plaquettes = [
        (along_x(x, y), along_x(x, y + 1), along_y(x, y), along_y(x + 1, y))
        for x, y in vertices
    ]
    minus = [-1.0] * len(vertices)
    terms = (
        *strings(4 * "X", stars, minus),
        *strings(4 * "Z", plaquettes, minus),
        *fields("Z", -h),
    )
    return PauliSum(N, terms)
