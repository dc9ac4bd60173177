"""The Hamiltonian of two sites and their surroundings, and its lowest state."""

import numpy as np

from qlib.entanglement.dmrg.block import apply


class TwoSites:
    """H restricted to theta[(i vL), (j vR)]: sum over k of left_k theta right_k^T.

    k runs over the states of the automaton at the bond between the sites i and j. The
    state done gives A theta, idle theta B^T with A, B all terms of the left and of the
    right half; pairs that act on i and j alone are one 4 x 4 matrix; whatever else
    crosses takes its own products. A nearest-neighbour chain costs the two products of
    (2 chi) x (2 chi) matrices that A and B are, 16 chi^3 multiplications.

    Parameters
    ----------
    left, right : lists of arrays
        `Block.enlarged` of the two ends.
    """

    def __init__(self, left, right):
        right = right[::-1]  # states seen from the left end
        self.left, self.right = left[-1], right[0].T.copy()
        self.bond, self.crossing = np.zeros((4, 4), self.left.dtype), []
        for one, other in zip(left[1:-1], right[1:-1], strict=True):
            if len(one) == len(other) == 2:
                self.bond += np.kron(one, other)  # (i* j*) (i j)
            else:
                self.crossing.append((one, other))

    def __call__(self, theta):
        """H theta, of the shape of theta: ((i vL), (j vR))."""
        rows, columns = theta.shape
        out = self.left @ theta
        out += theta @ self.right
        # (i vL) (j vR) -> (i j) (vL vR) and back
        legs = theta.reshape(2, rows // 2, 2, columns // 2).transpose(0, 2, 1, 3)
        pairs = self.bond @ legs.reshape(4, -1)
        pairs = pairs.reshape(2, 2, rows // 2, columns // 2).transpose(0, 2, 1, 3)
        out.reshape(2, rows // 2, 2, columns // 2)[...] += pairs
        for one, other in self.crossing:
            out += apply(other, apply(one, theta).T).T
        return out


def lowest(operator, theta, steps, tol):
    """Lowest state of a hermitian operator in a small Krylov space (Lanczos).

    Parameters
    ----------
    operator : callable on arrays of the shape of theta
    theta : array
        Start; converged states are accepted after one or two products.
    steps : int
        Products at most.
    tol : float
        Norm of the residual at which to stop.

    Returns
    -------
    energy : float
    state : array like theta, of norm 1
    """
    shape = theta.shape
    basis = np.empty((steps, theta.size), theta.dtype)
    basis[0] = theta.ravel() / np.linalg.norm(theta)
    matrix = np.zeros((steps + 1, steps + 1))
    for k in range(steps):
        image = operator(basis[k].reshape(shape)).ravel()
        known = basis[: k + 1]
        overlaps = known.conj() @ image
        image -= overlaps @ known
        image -= (known.conj() @ image) @ known
        matrix[k, k] = overlaps[k].real
        norm = np.linalg.norm(image)
        energies, vectors = np.linalg.eigh(matrix[: k + 1, : k + 1])
        if norm * abs(vectors[k, 0]) < tol or k == steps - 1:
            break
        matrix[k, k + 1] = matrix[k + 1, k] = norm
        basis[k + 1] = image / norm
    return energies[0], (vectors[:, 0] @ known).reshape(shape)
