"""Which symmetries of a Pauli sum a matrix product state does not have."""

RESOLVED = 1e-3
"""Deviation of |<P>| from 1 above which a symmetry counts as broken: converged states
of a non-degenerate level stay below by orders of magnitude."""


def broken_symmetries(H, mps):
    """Strings of one letter that commute with H and have no definite value in `mps`.

    Strings X…X, Y…Y, Z…Z on all sites, on the even and on the odd ones are tried. If P
    commutes with H, then P|psi> has the same energy as |psi>; where |<P>| < 1 the two
    differ, and the level is degenerate as far as the energy of `mps` is resolved.
    Empty is no proof that the level is single: symmetries that are no such strings,
    translations and reflections among them, are not looked at.

    Parameters
    ----------
    H : PauliSum
    mps : MPS

    Returns
    -------
    tuple of str
        Such as ``"X on all sites"``.
    """
    sublattices = {
        "all sites": range(H.num_sites),
        "even sites": range(0, H.num_sites, 2),
        "odd sites": range(1, H.num_sites, 2),
    }
    return tuple(
        f"{letter} on {name}"
        for name, sites in sublattices.items()
        for letter in "XYZ"
        if commutes(H, letter, sites)
        and 1 - abs(mps.expectation(letter * len(sites), sites)) > RESOLVED
    )


def commutes(H, letter, sites):
    """Whether the string of `letter` on `sites` commutes with every term of H."""
    sites = set(sites)
    return all(
        sum(
            other != letter and site in sites
            for other, site in zip(letters, where, strict=True)
        )
        % 2
        == 0
        for letters, where, _ in H.terms
    )
