"""Matrix product states (MPS) in left-canonical form, with their Schmidt values."""

from dataclasses import dataclass

import numpy as np

from qlib.entanglement.dmrg import block
from qlib.entanglement.dmrg.mpo import squared_site
from qlib.entanglement.pauli import PauliSum

LETTERS = {
    "X": np.array([[0.0, 1.0], [1.0, 0.0]]),
    "Y": np.array([[0.0, -1.0j], [1.0j, 0.0]]),
    "Z": np.array([[1.0, 0.0], [0.0, -1.0]]),
}
LARGEST_VECTOR = 26  # sites: a real vector of 512 MiB


@dataclass(frozen=True)
class MPS:
    """A normalised state of N qubits, psi = A_0 A_1 … A_{N-1}.

    Attributes
    ----------
    tensors : tuple of (vL, 2, vR) arrays
        Left-canonical: ``sum over vL, i of conj(A[vL, i, a]) A[vL, i, b]`` is the
        identity. vL = 1 at the first site, vR = 1 at the last.
    schmidt_values : tuple of arrays
        At the cuts 1 … N-1, descending, squares summing to 1.
    """

    tensors: tuple
    schmidt_values: tuple

    @property
    def num_sites(self):
        return len(self.tensors)

    def vector(self):
        """State vector of length 2^N, site 0 the most significant bit.

        Raises
        ------
        ValueError
            For more than 26 sites.
        """
        if self.num_sites > LARGEST_VECTOR:
            raise ValueError(
                f"num_sites: got {self.num_sites}, whose vector takes "
                f"{8 * 2.0**self.num_sites:.3g} bytes; allowed: at most "
                f"{LARGEST_VECTOR}"
            )
        state = np.ones((1, 1))  # (sites so far) vR
        for tensor in self.tensors:
            # (sites) [vL], [vL] (i vR) -> (sites i) vR
            state = state @ tensor.reshape(len(tensor), -1)
            state = state.reshape(-1, tensor.shape[2])
        return state[:, 0]

    def expectation(self, letters, sites):
        """<P> of a Pauli string, e.g. ``expectation("ZZ", (0, 1))``; O(N chi^3).

        Raises
        ------
        ValueError
            As `PauliSum` for letters and sites that are no string.
        """
        ((letters, sites, _),) = PauliSum(self.num_sites, [(letters, sites, 1.0)]).terms
        string = dict(zip(sites, letters, strict=True))
        environment = np.ones((1, 1))  # vL* vL
        for site, tensor in enumerate(self.tensors):
            ket = tensor
            if site in string:  # i* [i], vL [i] vR -> i* vL vR -> vL i* vR
                ket = np.tensordot(LETTERS[string[site]], tensor, axes=(1, 1))
                ket = ket.transpose(1, 0, 2)
            ket = np.tensordot(environment, ket, axes=(1, 0))  # vL* i vR
            # [vL* i*] vR*, [vL* i] vR -> vR* vR
            environment = np.tensordot(tensor.conj(), ket, axes=((0, 1), (0, 1)))
        return float(environment[0, 0].real)


def kept(weights, max_bond_dim, truncation):
    """How many of the descending `weights` (squared Schmidt values) to keep.

    As few as leave at most `truncation` behind, at least one, at most `max_bond_dim`.

    Returns
    -------
    count : int
    discarded : float
        The weight left behind.
    """
    behind = np.cumsum(weights[::-1])[::-1]  # from this one on
    count = max(1, min(max_bond_dim, int(np.sum(behind > truncation))))
    return count, max(0.0, float(behind[count])) if count < len(weights) else 0.0


def from_center(theta, isometries, truncation):
    """The MPS of a two-site tensor at the left end and the isometries beyond it.

    Parameters
    ----------
    theta : ((i), (j vR)) array
        Of sites 0 and 1.
    isometries : list of (2 vR, vL) arrays
        Rows ``(j vR)``, of the sites N-1, …, 2.
    truncation : float
        Weight that may be left behind at each cut.

    Notes
    -----
    Singular values are taken at every cut, not square roots of eigenvalues: small ones
    keep their digits. Cost O(N chi^3).
    """
    rest = [isometry.T for isometry in reversed(isometries)]  # vL (j vR)
    tensors, values = [], []
    theta = theta / np.linalg.norm(theta)
    for following in [*rest, None]:
        u, s, vh = np.linalg.svd(theta, full_matrices=False)
        count, _ = kept(s**2, len(s), truncation)
        u, s, vh = u[:, :count], s[:count] / np.linalg.norm(s[:count]), vh[:count]
        tensors.append(_standard(u))
        values.append(s)
        center = _next_rows(s[:, None] * vh)
        if following is not None:
            theta = center @ following  # (i vL) [vR], [vR] (j vR')
    tensors.append(_standard(center / np.linalg.norm(center)))
    return MPS(tuple(tensors), tuple(values))


def moments(mps, tensors):
    """<H> and the variance <H^2> - <H>^2 of an MPO with w states.

    The variance is <(H - E)^2> with the constant E spread over the sites, so that large
    numbers do not cancel. It bounds the distance of E to the nearest eigenvalue by its
    square root. Cost O(N w^2 chi^3).

    Returns
    -------
    energy, variance : float
    """
    isometries = [_rows(tensor) for tensor in mps.tensors]
    energy = _expectation(isometries, map(block.columns, tensors))
    share = energy / len(tensors)
    pairs = (block.columns(squared_site(tensor, share)) for tensor in tensors)
    return energy, _expectation(isometries, pairs)


def _expectation(isometries, sites):
    environment = np.ones((1, 1, 1))  # w vL* vL
    for isometry, site in zip(isometries, sites, strict=True):
        environment = block.project(block.enlarge(environment, site), isometry)
    return float(environment[-1, 0, 0].real)


def _standard(rows):
    """(i vL) vR -> vL i vR."""
    return rows.reshape(2, -1, rows.shape[1]).transpose(1, 0, 2)


def _rows(tensor):
    """vL i vR -> (i vL) vR."""
    return tensor.transpose(1, 0, 2).reshape(-1, tensor.shape[2])


def _next_rows(center):
    """vL (i vR) -> (i vL) vR."""
    dim = len(center)
    return center.reshape(dim, 2, -1).transpose(1, 0, 2).reshape(2 * dim, -1)
