"""A Pauli sum as a matrix product operator (MPO).

The MPO is a finite automaton that reads the chain from left to right. Its state at a
bond says what is still to come: state 0, that no string has begun (`idle`); the last
state, that a string is complete (`done`); a state in between, the letters that a string
already begun has yet to write. Strings with the same rest share a state.

References
----------
Crosswhite & Bacon, Phys. Rev. A 78, 012356 (2008); compression by singular values:
Hubig, McCulloch & Schollwöck, Phys. Rev. B 95, 035129 (2017).
"""

import numpy as np

COMPRESSION = 1e-13
"""Singular values below this share of a bond's largest are rounding of float64."""

DONE = ("done",)
IDLE = ("idle",)


def mpo(H):
    """Tensors of the MPO of `H`, of bond dimension 2 + rank of the couplings cut.

    The automaton is taken as it is where its bonds have that rank (tfim 3, xxz 5,
    cluster 4, j1j2 8); elsewhere (long-range couplings) it is compressed numerically,
    to a relative error of about 1e-13.

    Parameters
    ----------
    H : PauliSum

    Returns
    -------
    list of (wL, wR, 2, 2) arrays
        Legs ``wL wR i* i``, one tensor a site; float64 if H is real, else complex128.
        wL = 1 at the first site (idle), wR = 1 at the last (done). Row 0 is idle, the
        last column done, and all tensors are upper block triangular.

    Notes
    -----
    Cost: O(terms) for building, O(N w^3) for compressing w states.
    """
    tensors = automaton(H)
    smaller = compressed(tensors)
    saved = max(bond_dims(tensors)) > max(bond_dims(smaller))
    return smaller if saved else tensors


def bond_dims(tensors):
    """Dimension of the right leg of each of the first N - 1 tensors."""
    return [tensor.shape[1] for tensor in tensors[:-1]] or [1]


def letters_of(H):
    """Matrices of the letters and the factor that a string with n letters Y gets.

    For a real H, Y is written as -i (iY) with iY real, so that all tensors are real.
    """
    pauli = {
        "I": np.eye(2),
        "X": np.array([[0.0, 1.0], [1.0, 0.0]]),
        "Z": np.array([[1.0, 0.0], [0.0, -1.0]]),
    }
    if H.is_real:
        return {**pauli, "Y": np.array([[0.0, 1.0], [-1.0, 0.0]])}, {0: 1.0, 2: -1.0}
    pauli["Y"] = np.array([[0.0, -1.0j], [1.0j, 0.0]])
    return pauli, dict.fromkeys(range(4), 1.0)


def automaton(H):
    """The automaton's tensors, before any compression; a state is the rest to write."""
    matrices, factors = letters_of(H)
    starting = [[] for _ in range(H.num_sites)]
    for letters, sites, coefficient in H.terms:
        coefficient *= factors[letters.count("Y") % 4]
        string = tuple(zip(sites, letters, strict=True)) or ((0, "I"),)
        starting[string[0][0]].append((string, coefficient))
    tensors, left = [], [IDLE]
    dtype = np.result_type(*matrices.values())
    for site, started in enumerate(starting):
        moves = [(IDLE, "I", IDLE, 1.0)]
        moves += [
            (IDLE, string[0][1], string[1:] or DONE, coefficient)
            for string, coefficient in started
        ]
        for state in left:
            if state == DONE or (state != IDLE and state[0][0] > site):
                moves.append((state, "I", state, 1.0))
            elif state != IDLE:
                moves.append((state, state[0][1], state[1:] or DONE, 1.0))
        reached = {move[2] for move in moves} - {IDLE, DONE}
        right = [IDLE, *sorted(reached), DONE]
        if site == H.num_sites - 1:
            right = [DONE]
        row, column = ({s: k for k, s in enumerate(states)} for states in (left, right))
        tensor = np.zeros((len(left), len(right), 2, 2), dtype)  # wL wR i* i
        for state, letter, following, coefficient in moves:
            if following in column:
                tensor[row[state], column[following]] += coefficient * matrices[letter]
        tensors.append(tensor)
        left = right
    return tensors


def compressed(tensors):
    """The MPO with as few states in between as the rank of the couplings cut.

    The rests are different Pauli strings, hence orthogonal: truncating the singular
    values from left to right is optimal at every bond.
    """
    carry, out = np.eye(0), []  # states kept, states of the automaton
    for tensor in tensors[:-1]:
        rows = _merged(carry, tensor)
        inner = rows[:-1, 1:-1] if out else rows[:, 1:-1]  # all but done wL, inner wR
        inner = inner.transpose(0, 2, 3, 1)  # wL i* i wR
        shape = inner.shape
        matrix = inner.reshape(np.prod(shape[:3]), shape[3])
        u, s, vh = np.linalg.svd(matrix, full_matrices=False)
        rank = int(np.sum(s > COMPRESSION * s.max(initial=0.0)))
        carry = s[:rank, None] * vh[:rank]
        kept = u[:, :rank].reshape(*shape[:-1], rank).transpose(0, 3, 1, 2)
        new = np.zeros((len(rows), rank + 2, 2, 2), tensor.dtype)  # wL wR i* i
        new[: len(kept), 1:-1] = kept
        new[:, [0, -1]] = rows[:, [0, -1]]
        out.append(new)
    return [*out, _merged(carry, tensors[-1])]


def _merged(carry, tensor):
    """`tensor` with `carry` multiplied into the left leg's states in between."""
    if len(tensor) == 1:  # the first site
        return tensor
    inner = np.tensordot(carry, tensor[1:-1], axes=(1, 0))  # w [wL], [wL] wR i* i
    return np.concatenate([tensor[:1], inner, tensor[-1:]])


def mirrored(tensors):
    """The same operator read from right to left, idle and done exchanged."""
    return [t.transpose(1, 0, 2, 3)[::-1, ::-1] for t in reversed(tensors)]


def squared_site(tensor, shift=0.0):
    """Tensor of the MPO of (H - N shift)^2, its states the pairs of states.

    Parameters
    ----------
    tensor : (wL, wR, 2, 2) array
        Of the MPO of H.
    shift : float
        What this site takes off H.

    Returns
    -------
    (wL^2, wR^2, 2, 2) array
    """
    tensor = tensor.copy()
    tensor[0, -1] -= shift * np.eye(2)
    # wL1 wR1 i* [k], wL2 wR2 [k] i -> wL1 wL2 wR1 wR2 i* i
    pair = np.einsum("abik,cdkj->acbdij", tensor, tensor)
    return pair.reshape(tensor.shape[0] ** 2, tensor.shape[1] ** 2, 2, 2)
