"""Symmetry sectors: total S^z, and the parities of Π X and of Π Z."""

from dataclasses import dataclass

import numpy as np

from qlib.arguments import number_between

CANCELLED = 1e-12  # of the largest coefficient: what is left of sums that cancel


@dataclass(frozen=True)
class Sector:
    """Eigenvalues of conserved quantities; None where one is not fixed.

    Parameters
    ----------
    sz : float, optional
        Total S^z = ½ Σ_i Z_i: an integer for even N, a half-integer for odd N.
    x_parity : int, optional
        Eigenvalue +1 or −1 of Π_i X_i, which flips all spins.
    z_parity : int, optional
        Eigenvalue +1 or −1 of Π_i Z_i, the parity of the number of down spins.

    Raises
    ------
    ValueError
        For an `sz` that is no multiple of ½, a parity other than ±1, and quantities
        that have no common eigenstates: x_parity with sz other than 0.
    """

    sz: float | None = None
    x_parity: int | None = None
    z_parity: int | None = None

    def __post_init__(self):
        if self.sz is not None:
            sz = number_between("sz", self.sz, -np.inf, np.inf)
            if isinstance(self.sz, bool | str) or not (2 * sz).is_integer():
                raise ValueError(f"sz: got {self.sz!r}; allowed: a multiple of 1/2")
            object.__setattr__(self, "sz", sz)
        for name in ("x_parity", "z_parity"):
            value = getattr(self, name)
            if isinstance(value, bool) or value not in (None, 1, -1):
                raise ValueError(f"{name}: got {value!r}; allowed: 1, -1 or None")
        if self.x_parity is not None and self.sz:
            raise ValueError(
                f"x_parity: got {self.x_parity} with sz={self.sz}; allowed: with sz=0 "
                f"only, since flipping all spins turns sz into -sz"
            )


def check_not_empty(N, sector):
    """Refuse a `sector` that holds no state of N sites."""
    if sector.x_parity is not None and sector.z_parity is not None and N % 2:
        raise ValueError(
            f"sector: got {sector} on {N} sites; allowed: one parity only, since the "
            f"two anticommute for an odd number of sites"
        )
    if sector.sz is None:
        return
    down = N / 2 - sector.sz
    empty, allowed = False, ""
    if not (down.is_integer() and 0 <= down <= N):
        empty, allowed = True, f"sz from {-N / 2} to {N / 2} in steps of 1"
    elif sector.z_parity is not None:
        parity = (-1) ** int(down)
        empty, allowed = sector.z_parity != parity, f"z_parity={parity} for this sz"
    if empty:
        raise ValueError(
            f"sector: got {sector}, which holds no state of {N} sites; allowed: "
            f"{allowed}"
        )


def check_conserved(H, sector):
    """Refuse a `sector` of quantities that do not commute with H."""
    x, z, amplitude = H.masks()
    conserved = {
        "sz": conserves_sz(H.num_sites, x, z, amplitude),
        "x_parity": conserves_parity(z),
        "z_parity": conserves_parity(x),
    }
    broken = [
        name
        for name, holds in conserved.items()
        if getattr(sector, name) is not None and not holds
    ]
    if broken:
        raise ValueError(
            f"sector: got {sector}, but {' and '.join(broken)} does not commute with "
            f"H; allowed: quantities that H conserves"
        )


def conserves_parity(masks):
    """Whether strings with these masks of Z (or of X) commute with Π X (or Π Z)."""
    return not np.any(np.bitwise_count(masks) & 1)


def conserves_sz(N, x, z, amplitude):
    """Whether the sum of strings commutes with Σ Z_i, by the sum of the commutators.

    [P, Z_i] = 2 P Z_i where P flips site i, and 0 elsewhere.
    """
    total = {}
    for flipped, signs, a in zip(x.tolist(), z.tolist(), amplitude, strict=True):
        for i in range(N):
            if flipped >> i & 1:
                string = flipped, signs ^ (1 << i)
                total[string] = total.get(string, 0.0) + a
    largest = np.abs(amplitude).max(initial=0.0)
    return all(abs(a) <= CANCELLED * largest for a in total.values())
