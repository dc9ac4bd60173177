"""One end of the chain: its isometries, and the operators it shows to the rest.

Both ends are the same object: the right one is a `Block` of the mirrored operator.
Sites are counted from the own end, and a tensor's rows are its site's leg and the leg
towards that end, ``(i vL)``; so a sweep to the left is a sweep to the right with the
ends exchanged.
"""

import numpy as np


class Block:
    """Sites 0 … n-1 of an MPO, in the basis of an MPS's isometries.

    Parameters
    ----------
    tensors : list of (wL, wR, 2, 2) arrays
        MPO of the whole chain, seen from this end.

    Attributes
    ----------
    isometries : list of (2 vL, vR) arrays
        Rows ``(i vL)``, one array for each of the n sites.
    environments : list of (w, vL, vL) arrays
        Legs ``w vL* vL``: the operators of the sites so far at each state of the
        automaton; the first is the identity.
    """

    def __init__(self, tensors):
        self.columns = [columns(tensor) for tensor in tensors]
        self.isometries = []
        self.environments = [np.ones((1, 1, 1), tensors[0].dtype)]  # w vL* vL

    def enlarged(self):
        """Operators of the block and its next site, as `enlarge` returns them."""
        return enlarge(self.environments[-1], self.columns[len(self.isometries)])

    def push(self, isometry, operators):
        """Add a site: `operators` of `enlarged` in the basis of `isometry`."""
        self.environments.append(project(operators, isometry))
        self.isometries.append(isometry)

    def pop(self):
        """Take the last site away and return its isometry, rows ``(i vL)``."""
        self.environments.pop()
        return self.isometries.pop()


def columns(tensor):
    """An MPO tensor by its right states, without its zeros.

    Returns
    -------
    list of (rows, factors)
        For every wR: the wL that lead to it and their ``(i* i) wL`` factors. Where no
        string had begun before, rows is None and factors the (2, 2) matrix of the site,
        None for idle.
    """
    found = []
    last = tensor.shape[1] - 1
    for k in range(last + 1):
        rows = np.flatnonzero(np.abs(tensor[:, k]).max(axis=(1, 2)))
        if k == 0 < last:
            found.append((None, None))
        elif np.array_equal(rows, [0]) and k < last:
            found.append((None, np.ascontiguousarray(tensor[0, k])))
        else:
            rows = rows if len(rows) else np.array([0])
            factors = tensor[rows, k].reshape(len(rows), 4).T
            found.append((rows, np.ascontiguousarray(factors)))
    return found


def enlarge(environment, site):
    """Operators of a block and one more site at each state after that site.

    Parameters
    ----------
    environment : (w, vL, vL) array
    site : list
        Of `columns`.

    Returns
    -------
    list of arrays
        (2, 2) where only the site is acted on, else (2 vL, 2 vL) with legs
        ``(i* vL*) (i vL)``; None for the identity of state 0.
    """
    dim = environment.shape[-1]
    operators = []
    for rows, factors in site:
        if rows is None:
            operators.append(factors)
            continue
        # (i* i) [w], [w] (vL* vL) -> i* i vL* vL -> (i* vL*) (i vL)
        operator = factors @ environment[rows].reshape(len(rows), -1)
        operator = operator.reshape(2, 2, dim, dim).transpose(0, 2, 1, 3)
        operators.append(operator.reshape(2 * dim, 2 * dim))
    return operators


def project(operators, isometry):
    """Operators of `enlarge` in the basis of an isometry (2 vL, vR): (w, vR, vR)."""
    dim = isometry.shape[1]
    environment = np.empty((len(operators), dim, dim), isometry.dtype)
    adjoint = isometry.conj().T  # vR* (i* vL*)
    for k, operator in enumerate(operators):
        if operator is None:
            environment[k] = np.eye(dim)
        else:
            environment[k] = adjoint @ apply(operator, isometry)  # vR* vR
    return environment


def apply(operator, matrix):
    """An operator of `enlarge` times the rows ``(i vL)`` of `matrix`."""
    if len(operator) == len(matrix):
        return operator @ matrix
    return (operator @ matrix.reshape(2, -1)).reshape(matrix.shape)
