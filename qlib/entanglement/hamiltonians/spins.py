"""Heisenberg-like chains, in spin-1/2 operators S = σ/2."""

import numpy as np

from qlib.arguments import number_between
from qlib.entanglement.hamiltonians.couplings import (
    bonds,
    chain,
    fields,
    per,
    strings,
)
from qlib.entanglement.pauli import PauliSum


def xxz(N, delta=1.0, field=0.0, *, coupling=1.0, boundary="open"):
    """XXZ chain in a field along z.

    H = Σ_i J_i (Sx_i Sx_{i+1} + Sy_i Sy_{i+1} + Δ_i Sz_i Sz_{i+1}) − Σ_i h_i Sz_i.

    J > 0 is antiferromagnetic. With uniform J > 0 and h = 0: gapless with central
    charge 1 for −1 < Δ <= 1, Néel order with a gap for Δ > 1 (two nearly degenerate
    ground states; transition of Kosterlitz and Thouless at Δ = 1), ferromagnetic for
    Δ < −1 (first-order transition). Commutes with Σ_i Z_i, and at h = 0 with Π_i X_i.
    Δ = 0 is free fermions.

    Parameters
    ----------
    N : int
        Sites, at least 2.
    delta : float or (bonds,) array
        Δ, the anisotropy.
    field : float or (N,) array
        h, along z.
    coupling : float or (bonds,) array
        J.
    boundary : {"open", "periodic"}

    Returns
    -------
    PauliSum

    References
    ----------
    C. N. Yang, C. P. Yang, Phys. Rev. 150, 321 (1966).
    """
    N, periodic = chain(N, boundary)
    places = bonds(N, periodic)
    J = per("bond", "coupling", coupling, len(places))
    anisotropy = per("bond", "delta", delta, len(places))
    h = per("site", "field", field, N)
    return PauliSum(N, (*_exchange(places, J, J * anisotropy), *fields("Z", -h / 2)))


def heisenberg(N, coupling=1.0, *, boundary="open"):
    """Heisenberg chain, H = Σ_i J_i S_i · S_{i+1}.

    `xxz` at Δ = 1 without a field: J > 0 is antiferromagnetic, gapless with central
    charge 1 and logarithmic corrections. Commutes with every component of the total
    spin; the ground state of an even open chain or ring is the singlet (sz = 0).

    Parameters
    ----------
    N : int
        Sites, at least 2.
    coupling : float or (bonds,) array
        J.
    boundary : {"open", "periodic"}

    Returns
    -------
    PauliSum

    References
    ----------
    H. Bethe, Zeitschrift für Physik 71, 205 (1931).
    """
    return xxz(N, coupling=coupling, boundary=boundary)


def j1j2(N, j2=0.5, *, j1=1.0, boundary="open"):
    """Heisenberg chain of first and second neighbours.

    H = Σ_i J1_i S_i · S_{i+1} + Σ_i J2_i S_i · S_{i+2}.

    With uniform J1 > 0: gapless with central charge 1 for J2/J1 < 0.2411, dimerised
    with a gap above. At J2 = J1/2 (Majumdar and Ghosh) the ground states are products
    of singlets on neighbouring sites, E0 = −3 N J1/8, two of them on an even ring, one
    on an even open chain, where S = ln 2, 0, ln 2, … at cuts 1, 2, 3, …. Commutes with
    every component of the total spin.

    Parameters
    ----------
    N : int
        Sites, at least 3; at least 4 on a ring, where the sum over i meets the pairs
        (0, 2) and (1, 3) twice if N = 4.
    j2 : float or array
        J2, antiferromagnetic if positive; of shape (N − 2,) for the open chain, (N,)
        for the ring, entry i joining the sites i and i + 2.
    j1 : float or (bonds,) array
        J1.
    boundary : {"open", "periodic"}

    Returns
    -------
    PauliSum

    References
    ----------
    C. K. Majumdar, D. K. Ghosh, Journal of Mathematical Physics 10, 1388 (1969);
    K. Okamoto, K. Nomura, Physics Letters A 169, 433 (1992).
    """
    N, periodic = chain(N, boundary, fewest=4 if boundary == "periodic" else 3)
    near, far = bonds(N, periodic), bonds(N, periodic, distance=2)
    J1 = per("bond", "j1", j1, len(near))
    J2 = per("pair of second neighbours", "j2", j2, len(far))
    return PauliSum(N, (*_exchange(near, J1, J1), *_exchange(far, J2, J2)))


def ssh(N, delta=0.0, *, coupling=1.0, boundary="open"):
    """Dimerised XX chain, H = Σ_i J_i (1 + (−1)^i δ_i) (Sx_i Sx_{i+1} + Sy_i Sy_{i+1}).

    The spin form of Su, Schrieffer and Heeger's chain. The first bond, and every second
    one from it, is strong for δ > 0: an even open chain then pairs all its sites
    (trivial). For δ < 0 its end sites are left over (topological: two modes at zero
    energy up to O(((1+δ)/(1−δ))^(N/2)), four nearly degenerate ground states, of which
    sz = 0 holds two). Gap J |δ| at half filling; critical at δ = 0, central charge 1.
    A ring needs an even N to be dimerised evenly. Commutes with Σ_i Z_i and Π_i X_i.
    Free fermions.

    Parameters
    ----------
    N : int
        Sites, at least 2.
    delta : float or (bonds,) array
        δ, the dimerisation.
    coupling : float or (bonds,) array
        J.
    boundary : {"open", "periodic"}

    Returns
    -------
    PauliSum

    References
    ----------
    W. P. Su, J. R. Schrieffer, A. J. Heeger, Phys. Rev. Lett. 42, 1698 (1979).
    """
    N, periodic = chain(N, boundary)
    count = N if periodic else N - 1
    J = per("bond", "coupling", coupling, count)
    dimerisation = per("bond", "delta", delta, count)
    sign = 1 - 2 * (np.arange(count) % 2)
    strength = J * (1 + sign * dimerisation)
    return xxz(N, 0.0, coupling=strength, boundary=boundary)


def rainbow_xx(N, alpha, *, coupling=1.0):
    """XX chain of volume-law entropy, H = Σ_i J_i a_i (Sx_i Sx_{i+1} + Sy_i Sy_{i+1}).

    The bonds decay from the centre of an open chain of even length: a = 1 on the middle
    bond and α^(2d − 1) at distance d = 1, 2, … from it. α = 1 is the uniform critical
    chain; for α → 0 sites at equal distance from the centre form singlets (the rainbow)
    and the half-chain entropy is (N/2) ln 2. The gap shrinks like α^(N − 2): rainbows
    of many sites are beyond float64. Commutes with Σ_i Z_i and Π_i X_i. Free fermions.

    Parameters
    ----------
    N : int
        Sites, even, at least 2.
    alpha : float
        Ratio α in (0, 1].
    coupling : float or (N − 1,) array
        J, a factor on every bond.

    Returns
    -------
    PauliSum

    References
    ----------
    G. Vitagliano, A. Riera, J. I. Latorre, New Journal of Physics 12, 113049 (2010);
    G. Ramírez, J. Rodríguez-Laguna, G. Sierra, J. Stat. Mech. P10004 (2014), whose
    decay this is.
    """
    N, _ = chain(N, "open")
    if N % 2:
        raise ValueError(f"N: got {N}; allowed: an even integer >= 2")
    alpha = number_between("alpha", alpha, 0, 1, open_low=True)
    J = per("bond", "coupling", coupling, N - 1)
    distance = abs(np.arange(N - 1) - (N // 2 - 1))
    decay = alpha ** np.maximum(2.0 * distance - 1, 0)
    return xxz(N, 0.0, coupling=J * decay)


def random_singlet(N, disorder=1.0, *, boundary="open", rng):
    """Random XX chain, whose ground state flows to random singlets.

    H = Σ_i u_i^D (Sx_i Sx_{i+1} + Sy_i Sy_{i+1}), u uniform on (0, 1].

    D = 0 is the clean chain; any D > 0 flows to the random-singlet fixed point, whose
    half-chain entropy, averaged over disorder, grows like the clean one with central
    charge ln 2 instead of 1. Gapless: single samples have gaps as small as
    exp(−O(√N)). Commutes with Σ_i Z_i and Π_i X_i. Free fermions.

    Parameters
    ----------
    N : int
        Sites, at least 2.
    disorder : float
        D >= 0; the density of couplings is proportional to J^(1/D − 1).
    boundary : {"open", "periodic"}
    rng : int or numpy Generator
        Source of the couplings, drawn bond by bond from the left.

    Returns
    -------
    PauliSum

    References
    ----------
    D. S. Fisher, Phys. Rev. B 50, 3799 (1994); G. Refael, J. E. Moore, Phys. Rev. Lett.
    93, 260602 (2004).
    """
    N, periodic = chain(N, boundary)
    disorder = number_between("disorder", disorder, 0, float("inf"))
    uniform = 1.0 - np.random.default_rng(rng).random(N if periodic else N - 1)
    return xxz(N, 0.0, coupling=uniform**disorder, boundary=boundary)


def _exchange(places, flip, ising):
    """Terms of Σ flip (SxSx + SySy) + ising SzSz over pairs of sites."""
    return [
        *strings("XX", places, flip / 4),
        *strings("YY", places, flip / 4),
        *strings("ZZ", places, ising / 4),
    ]
