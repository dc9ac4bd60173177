"""The families of the dataset, each drawn where its phase is known from the literature.

A family's function gives the Hamiltonian of N sites, N even; its docstring says why the
phase is what it is. Couplings are clean, periodic over four sites at most, or random
numbers that a longer chain continues: a point means the same physics at every size.

Chains of clusters, bonds and fields, H = −Σ Z X Z − J Σ Z Z − h Σ X, are drawn by the
roots of f(z) = z² + J z − h: roots inside the unit circle count the Majorana modes at
an end (0: paramagnet, 1: ferromagnet, 2: cluster phase), roots on it are twice the
central charge (R. Verresen, N. G. Jones, F. Pollmann, Phys. Rev. Lett. 120, 057001,
2018).
"""

import numpy as np

from qlib.entanglement.dataset.family import Family
from qlib.entanglement.exact import Sector
from qlib.entanglement.hamiltonians import (
    cluster,
    heisenberg,
    j1j2,
    random_singlet,
    ssh,
    tfim,
    xxz,
    xy,
)
from qlib.entanglement.pauli import PauliSum

FAMILIES = {}
OPEN = ("open",)
RING = ("periodic",)
BOTH = ("open", "periodic")


def _even_under_x(N, parameters):
    """Π X = 1, the parity of the ground state if no off-diagonal element is above 0.

    Cluster terms have both signs; there fermions with momenta in pairs k, −k have it.
    """
    return Sector(x_parity=1)


def _even_under_z(N, parameters):
    return Sector(z_parity=1)


def _singlet(N, parameters):
    """Sz = 0 and the spin flip of an even total spin, (−1)^(N/2).

    The ground state of every antiferromagnetic XXZ chain or ring of even length (sign
    rule of W. Marshall, Proc. R. Soc. A 232, 48, 1955) and every singlet lie there.
    """
    return Sector(sz=0.0, x_parity=(-1) ** (N // 2))


def _filled(N, parameters):
    """Sz of the open XX chain in a field: modes cos(πk/(N+1)) below it are filled."""
    modes = np.cos(np.pi * np.arange(1, N + 1) / (N + 1))
    return Sector(sz=float((modes < parameters["field"]).sum() - N / 2))


def _family(phase, sector, boundaries, *, free, **ranges):
    """Enter the function that follows as the `build` of a family of its name."""

    def enter(build):
        name = build.__name__
        FAMILIES[name] = Family(name, phase, build, ranges, boundaries, sector, free)
        return build

    return enter


def _alternating(N, boundary, even, odd):
    """Couplings of the bonds: `even` on the first and every second one, else `odd`."""
    bonds = N if boundary == "periodic" else N - 1
    return np.where(np.arange(bonds) % 2 == 0, even, odd)


def _from_roots(N, total, product, boundary):
    """−Σ ZXZ − J Σ ZZ − h Σ X of the sum and product of the roots of z² + J z − h."""
    ising = tfim(N, -total, -product, boundary=boundary)
    return PauliSum(N, cluster(N, boundary=boundary).terms + ising.terms)


# ---- gapped


@_family("gapped", _even_under_x, BOTH, free=True, field=(1.3, 3.0))
def tfim_paramagnet(N, field, boundary):
    """Above the transition at h = J (P. Pfeuty, Annals of Physics 57, 79, 1970)."""
    return tfim(N, 1.0, field, boundary=boundary)


@_family("gapped", _even_under_x, BOTH, free=True, field=(0.2, 0.75))
def tfim_ferromagnet(N, field, boundary):
    """Below the transition (Pfeuty 1970); the even one of two ordered ground states."""
    return tfim(N, 1.0, field, boundary=boundary)


@_family("gapped", _even_under_z, BOTH, free=True, gamma=(0.2, 1), field=(1.3, 3))
def xy_paramagnet(N, gamma, field, boundary):
    """|h| > J (E. Barouch, B. McCoy, Phys. Rev. A 3, 786, 1971)."""
    return xy(N, gamma, field, boundary=boundary)


@_family("gapped", _even_under_x, BOTH, free=True, field=(1.5, 3.0))
def cluster_paramagnet(N, field, boundary):
    """A field above that of the cluster's end, 1 (A. C. Doherty, S. D. Bartlett,
    Phys. Rev. Lett. 103, 020506, 2009)."""
    return cluster(N, field, boundary=boundary)


@_family("gapped", _singlet, BOTH, free=False, delta=(2.0, 6.0))
def xxz_neel(N, delta, boundary):
    """Néel order for Δ > 1 (C. N. Yang, C. P. Yang, Phys. Rev. 150, 327, 1966); the
    two patterns in the superposition of the spin flip's sector."""
    return xxz(N, delta, boundary=boundary)


@_family("gapped", _singlet, OPEN, free=False, j2=(0.4, 0.6))
def j1j2_dimer(N, j2, boundary):
    """Dimers around the point of Majumdar and Ghosh, J2 = J1/2 (K. Okamoto, K. Nomura,
    Phys. Lett. A 169, 433, 1992: J2 > 0.2411 J1). Open: a ring has two ground states
    that no sector of spins tells apart."""
    return j1j2(N, j2, boundary=boundary)


@_family("gapped", _singlet, BOTH, free=True, delta=(0.2, 0.8))
def ssh_dimer(N, delta, boundary):
    """Strong bonds first, no spin left over at an end (W. P. Su, J. R. Schrieffer,
    A. J. Heeger, Phys. Rev. Lett. 42, 1698, 1979)."""
    return ssh(N, delta, boundary=boundary)


@_family("gapped", _singlet, BOTH, free=False, delta=(0.2, 0.8))
def heisenberg_dimer(N, delta, boundary):
    """Bonds 1 + δ, 1 − δ, …: gapped for any δ (M. C. Cross, D. S. Fisher, Phys. Rev. B
    19, 402, 1979)."""
    bonds = _alternating(N, boundary, 1 + delta, 1 - delta)
    return heisenberg(N, bonds, boundary=boundary)


# ---- gapless


@_family("gapless", _singlet, BOTH, free=False, delta=(-0.8, 1.0))
def xxz_luttinger(N, delta, boundary):
    """c = 1 for −1 < Δ <= 1 (A. Luther, I. Peschel, Phys. Rev. B 12, 3908, 1975)."""
    return xxz(N, delta, boundary=boundary)


@_family("gapless", _singlet, OPEN, free=False, j2=(0.0, 0.2))
def j1j2_gapless(N, j2, boundary):
    """c = 1 for J2 < 0.2411 J1 (K. Okamoto and K. Nomura 1992)."""
    return j1j2(N, j2, boundary=boundary)


@_family("gapless", _filled, OPEN, free=True, field=(0.0, 0.75))
def xx_in_field(N, field, boundary):
    """XX chain below saturation, h < J: c = 1 at any filling (E. Lieb, T. Schultz,
    D. Mattis, Annals of Physics 16, 407, 1961). The state changes in steps of Sz."""
    return xxz(N, 0.0, field, boundary=boundary)


@_family(
    "gapless", _singlet, OPEN, free=True, disorder=(0.3, 1.0), sample=(0.0, 2.0**31)
)
def random_xx(N, disorder, sample, boundary):
    """Random singlets (D. S. Fisher, Phys. Rev. B 50, 3799, 1994). One sample of the
    couplings: a longer chain continues it, but its entropies are its own."""
    return random_singlet(N, disorder, boundary=boundary, rng=int(sample))


# ---- critical


@_family(
    "critical", _even_under_x, OPEN, free=True, bond_ratio=(1, 2), field_ratio=(1, 2)
)
def tfim_critical(N, bond_ratio, field_ratio, boundary):
    """c = 1/2 where the products of bonds and of fields agree, here with period two:
    J = r, 1/r, … and h = s, 1/s, … (P. Pfeuty, Phys. Lett. A 72, 245, 1979)."""
    bonds = _alternating(N, boundary, bond_ratio, 1 / bond_ratio)
    fields = _alternating(N, "periodic", field_ratio, 1 / field_ratio)
    return tfim(N, bonds, fields, boundary=boundary)


@_family("critical", _even_under_z, BOTH, free=True, gamma=(0.3, 1.0))
def xy_critical(N, gamma, boundary):
    """c = 1/2 at h = J for every γ ≠ 0 (J. I. Latorre, E. Rico, G. Vidal, Quantum Inf.
    Comput. 4, 48, 2004)."""
    return xy(N, gamma, 1.0, boundary=boundary)


@_family("critical", _even_under_x, OPEN, free=True, field_ratio=(1, 2))
def cluster_critical(N, field_ratio, boundary):
    """The cluster phase's end at h = 1, c = 1: two Ising chains on every second site
    (Doherty and Bartlett 2009), in each of which h alternates between s and 1/s."""
    exponent = 1 - 2 * (np.arange(N) // 2 % 2)
    return cluster(N, field_ratio**exponent, boundary=boundary)


@_family("critical", _even_under_x, RING, free=True, root=(0.0, 0.6))
def cluster_ising_critical(N, root, boundary):
    """Between the cluster phase and a ferromagnet: c = 1/2, one root at −1 on the unit
    circle and one inside (Verresen, Jones and Pollmann 2018)."""
    return _from_roots(N, root - 1, -root, boundary)


@_family("critical", _singlet, OPEN, free=True, ratio=(1, 3))
def ssh_critical(N, ratio, boundary):
    """c = 1 between the two dimerised XX chains, where the products of even and of odd
    bonds agree, here r, 1, 1/r, 1, … (two Ising chains of Pfeuty 1979)."""
    exponent = np.resize([1, 0, -1, 0], N - 1)
    return xxz(N, 0.0, coupling=ratio**exponent, boundary=boundary)


@_family("critical", _even_under_x, OPEN, free=False, strength=(0.0, 0.5))
def self_dual_ising(N, strength, boundary):
    """The critical chain with −g Σ X X − g Σ Z_i Z_{i+2}, which duality exchanges:
    interacting Majorana fermions, c = 1/2 throughout (A. Rahmani, X. Zhu, M. Franz,
    I. Affleck, Phys. Rev. B 92, 235123, 2015)."""
    pairs = [("XX", (i, i + 1), -strength) for i in range(N - 1)]
    pairs += [("ZZ", (i, i + 2), -strength) for i in range(N - 2)]
    return PauliSum(N, tfim(N, boundary=boundary).terms + tuple(pairs))


# ---- topological


@_family("topological", _even_under_x, RING, free=True, field=(0.0, 0.7))
def cluster_phase(N, field, boundary):
    """The cluster phase, h < 1 (Doherty and Bartlett 2009). A ring: an open chain has
    four ground states, of which the sectors of Π X hold two each."""
    return cluster(N, field, boundary=boundary)


@_family(
    "topological",
    _even_under_x,
    RING,
    free=True,
    root_a=(-0.6, 0.6),
    root_b=(-0.6, 0.6),
)
def cluster_ising_phase(N, root_a, root_b, boundary):
    """The cluster phase with bonds: both roots inside the unit circle (Verresen, Jones
    and Pollmann 2018)."""
    return _from_roots(N, root_a + root_b, root_a * root_b, boundary)


@_family("topological", _singlet, RING, free=True, delta=(-0.8, -0.2))
def ssh_topological(N, delta, boundary):
    """Weak bonds first: cuts at even sites part strong ones (Su, Schrieffer and Heeger
    1979). A ring, without the open chain's modes at its ends."""
    return ssh(N, delta, boundary=boundary)


@_family("topological", _singlet, OPEN, free=True, delta=(-0.35, -0.15))
def ssh_edge_modes(N, delta, boundary):
    """The open chain with a mode at either end (Su, Schrieffer and Heeger 1979), which
    the spin flip's sector fills evenly; δ such that 64 sites still split them."""
    return ssh(N, delta, boundary=boundary)


@_family("topological", _singlet, OPEN, free=False, delta=(-0.8, -0.2))
def heisenberg_edge_spins(N, delta, boundary):
    """Weak bonds first and a spin 1/2 at either end, in Haldane's phase (K. Hida, Phys.
    Rev. B 45, 2207, 1992); the singlet of the two."""
    bonds = _alternating(N, boundary, 1 + delta, 1 - delta)
    return heisenberg(N, bonds, boundary=boundary)
