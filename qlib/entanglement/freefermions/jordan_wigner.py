"""Spin Hamiltonians that are quadratic in Majorana operators.

A Jordan-Wigner string runs along one Pauli letter S. With the other two letters A, B
in cyclic order, A B = i S, site j carries the Majorana operators

    g_2j = S_0 ... S_(j-1) A_j,    g_(2j+1) = S_0 ... S_(j-1) B_j,

which are hermitian, square to one and anticommute (Lieb, Schultz and Mattis, Ann.
Phys. 16, 407, 1961). The Pauli strings that are +-i g_a g_b are the single S_j, and
those with A or B at both ends and S at every site between.
"""

from typing import NamedTuple

import numpy as np

AXES = {"Z": "XY", "X": "YZ", "Y": "ZX"}  # string letter S -> letters A, B


class QuadraticForm(NamedTuple):
    """H = constant + (i/4) sum_ab (open + parity * closing)_ab g_a g_b.

    Attributes
    ----------
    axis : {"Z", "X", "Y"}
        The letter S of the strings; the parity is the eigenvalue of prod_j S_j.
    constant : float
    open, closing : (2N, 2N) arrays
        Real and antisymmetric. The bonds that close a ring are `closing`.
    """

    axis: str
    constant: float
    open: np.ndarray
    closing: np.ndarray


def quadratic_form(H):
    """The Majorana couplings of a spin Hamiltonian, along the axis that fits it.

    Parameters
    ----------
    H : PauliSum

    Returns
    -------
    QuadraticForm

    Raises
    ------
    ValueError
        If along no axis all terms are bilinear; it names the first term that is not,
        along the axis with the fewest of them.

    Notes
    -----
    O(N) per term, O(N^2) memory.
    """
    attempts = {axis: _bilinears(H, axis) for axis in AXES}
    axis, (pairs, refused) = min(attempts.items(), key=lambda item: len(item[1][1]))
    if refused:
        letters, sites, coefficient = refused[0]
        raise ValueError(
            f"H: got the term {coefficient} {letters} on sites {sites}; "
            "allowed: terms bilinear in Jordan-Wigner fermions, one letter S on single "
            "sites and strings a S ... S b of neighbours with a, b other than S "
            "(exact and dmrg take others)"
        )
    size = 2 * H.num_sites
    open_and_closing = np.zeros((2, size, size))
    for a, b, closing, coefficient in pairs:
        open_and_closing[closing, a, b] += 2 * coefficient
        open_and_closing[closing, b, a] -= 2 * coefficient
    constant = sum(value for letters, _, value in H.terms if not letters)
    return QuadraticForm(axis, constant, *open_and_closing)


def _bilinears(H, axis):
    """(a, b, closing, c) of every term c i g_a g_b, and the terms that are none."""
    pairs, refused = [], []
    for letters, sites, coefficient in H.terms:
        if not letters:
            continue
        string = dict(zip(sites, letters, strict=True))
        pair, closing, swap = _pair(string, axis), False, 1
        ends = len(letters) - letters.count(axis)
        if pair is None and (ends == 2 or len(letters) == H.num_sites - 1):
            string, swap = _times_parity(string, H.num_sites, axis)
            pair, closing = _pair(string, axis), True
        if pair is None:
            refused.append((letters, sites, coefficient))
        else:
            a, b, sign = pair
            pairs.append((a, b, int(closing), sign * swap * coefficient))
    return pairs, refused


def _pair(string, axis):
    """(a, b, sign) of a Pauli string that is sign * i g_a g_b, else None."""
    if not string:
        return None
    first, last = min(string), max(string)
    if first == last:
        return (2 * first, 2 * first + 1, -1) if string[first] == axis else None
    inside = (string.get(site) for site in range(first + 1, last))
    if axis in (string[first], string[last]) or any(s != axis for s in inside):
        return None
    start, end = AXES[axis].index(string[first]), AXES[axis].index(string[last])
    # A S ... = -i g_(2j+1), B S ... = i g_2j up to the string left of site j
    return 2 * first + 1 - start, 2 * last + end, 2 * start - 1


def _times_parity(string, num_sites, axis):
    """The string Q' and the sign of Q = sign * Q' * parity, if Q has two ends."""
    letter_a, letter_b = AXES[axis]
    exchanged = {letter_a: letter_b, letter_b: letter_a}
    product = {site: axis for site in range(num_sites) if site not in string}
    ends = {site: s for site, s in string.items() if s != axis}
    product |= {site: exchanged[letter] for site, letter in ends.items()}
    # A S = -i B and B S = i A: equal ends give -1, different ends +1
    return product, -1 if len(set(ends.values())) == 1 else 1
