"""Energies of ±1 spins with pair couplings, and their other notations."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import sparse

SYMMETRY = 1e-12  # of the largest coupling: rounding of products such as X.T @ X
DENSE_SHARE = 0.25  # of the couplings nonzero, from where a dense matrix is no larger
BLOCK = 1 << 22  # spins converted to float64 at a time: 32 MiB
LARGEST = 1e100  # absolute value of a bias: squares and sums of them stay finite


class Neighbours(NamedTuple):
    """Couplings of spin i: ``slice(indptr[i], indptr[i + 1])`` of the other two."""

    indptr: np.ndarray  # (n + 1,) int32
    indices: np.ndarray  # (entries,) int32, rising within a spin
    weights: np.ndarray  # (entries,) float64


@dataclass(frozen=True, eq=False)
class IsingModel:
    """E(s) = offset + Σ_i h_i s_i + ½ Σ_ij J_ij s_i s_j of spins s_i = ±1.

    J is symmetric, so J_ij is the bias of the unordered pair {i, j} as in dimod, and a
    negative J_ij is ferromagnetic. The arrays are copies and are not to be written to.

    Parameters
    ----------
    h : (n,) array or None
        Fields, in units of energy, at most 1e100 in size; None for zeros.
    J : (n, n) array or scipy sparse matrix
        Couplings, at most 1e100 in size, symmetric up to rounding (1e-12 of the largest
        entry; the mean of both entries is kept), zero on the diagonal.
    offset : float
        Energy added to every state.
    variables : sequence of n labels or None
        Distinct hashable names of the spins; None for 0 … n−1.

    Attributes
    ----------
    h : (n,) float64 array
    J : (n, n) float64 array or `scipy.sparse.csr_array`
        Sparse where a sparse matrix was given, without stored zeros.

    Raises
    ------
    ValueError
        For NaN, infinite, huge or asymmetric couplings, a nonzero diagonal, shapes that
        do not fit, repeated labels.
    """

    h: np.ndarray
    J: np.ndarray
    offset: float = 0.0
    variables: tuple = None

    def __post_init__(self):
        couplings = _couplings(self.J)
        n = couplings.shape[0]
        h = np.zeros(n) if self.h is None else np.array(self.h, dtype=np.float64)
        if h.shape != (n,):
            raise ValueError(f"h: got shape {h.shape}; allowed: ({n},), one per spin")
        _refuse_huge("h", h)
        _refuse_huge("offset", np.float64(self.offset))
        labels = range(n) if self.variables is None else self.variables
        labels = tuple(labels)
        if len(labels) != n or len(set(labels)) != n:
            raise ValueError(
                f"variables: got {len(labels)} labels, {len(set(labels))} distinct; "
                f"allowed: {n} distinct labels"
            )
        fields = {"h": h, "J": couplings, "offset": float(self.offset) + 0.0}
        for name, value in (fields | {"variables": labels}).items():
            object.__setattr__(self, name, value)

    @property
    def num_spins(self):
        """Number of spins n."""
        return self.h.size

    @property
    def is_sparse(self):
        """Whether J is a sparse matrix."""
        return sparse.issparse(self.J)

    @cached_property
    def _neighbours(self):
        rows = self.J if self.is_sparse else sparse.csr_array(self.J)
        return Neighbours(
            rows.indptr.astype(np.int32), rows.indices.astype(np.int32), rows.data
        )

    def neighbours(self):
        """Nonzero couplings of every spin in compressed rows, both directions.

        Returns
        -------
        Neighbours
            Computed once; O(entries of J) memory.
        """
        return self._neighbours

    def energy(self, spins):
        """Energies of states, O(n) to O(n²) each with the number of couplings.

        Sums of integer or half-integer biases are exact.

        Parameters
        ----------
        spins : (..., n) array
            Entries −1 and 1.

        Returns
        -------
        (...) float64 array or float
        """
        spins = self._spins(spins)
        rows = spins.reshape(-1, self.num_spins) if spins.size else spins
        if not spins.size:
            return np.full(spins.shape[:-1], self.offset)[()]
        energies = np.empty(len(rows))
        step = max(1, BLOCK // self.num_spins)
        for start in range(0, len(rows), step):
            block = rows[start : start + step].astype(np.float64)  # (rows, n)
            pairs = np.einsum("ri,ri->r", block, self._times_couplings(block))
            energies[start : start + step] = block @ self.h + 0.5 * pairs
        return (energies + self.offset).reshape(spins.shape[:-1])[()]

    def local_fields(self, spins):
        """h_i + Σ_j J_ij s_j; flipping s_i changes the energy by −2 s_i times it.

        Parameters
        ----------
        spins : (..., n) array
            Entries −1 and 1.

        Returns
        -------
        (..., n) float64 array
        """
        spins = self._spins(spins)
        rows = spins.reshape(-1, self.num_spins) if spins.size else spins
        if not spins.size:
            return np.zeros(spins.shape)
        fields = self._times_couplings(rows.astype(np.float64)) + self.h
        return fields.reshape(spins.shape)

    def to_bqm(self):
        """The same energies as a `dimod.BinaryQuadraticModel` of vartype SPIN."""
        import dimod

        upper = sparse.triu(sparse.coo_array(self.J), k=1, format="coo")
        return dimod.BinaryQuadraticModel.from_numpy_vectors(
            self.h,
            (upper.row, upper.col, upper.data),
            self.offset,
            dimod.SPIN,
            variable_order=list(self.variables),
        )

    def to_qubo(self):
        """Upper triangular Q and offset with E = offset + xᵀ Q x, x = (1 + s)/2.

        Returns
        -------
        (n, n) array or `scipy.sparse.csr_array`
            Sparse where J is. The linear terms stand on the diagonal.
        float
        """
        rows = self.J.sum(axis=1)  # (n,)
        linear = 2.0 * (self.h - rows)
        offset = self.offset - self.h.sum() + 0.5 * rows.sum()
        if self.is_sparse:
            upper = 4.0 * sparse.triu(self.J, k=1)
            quadratic = sparse.csr_array(upper + sparse.diags_array(linear))
        else:
            quadratic = 4.0 * np.triu(self.J, k=1) + np.diag(linear)
        return quadratic, float(offset)

    @classmethod
    def from_qubo(cls, Q, offset=0.0):
        """The model of offset + Σ_ij Q_ij x_i x_j with x = (1 + s)/2 in {0, 1}.

        Parameters
        ----------
        Q : (n, n) array, scipy sparse matrix or dict
            Any square matrix: Q_ij and Q_ji add up. A dict maps pairs of labels to
            biases as in `dimod.Sampler.sample_qubo`; J then is sparse unless a quarter
            of it is nonzero.
        offset : float
            Energy of x = 0.

        Raises
        ------
        ValueError
            For a matrix that is not square, or entries that are not finite.
        """
        labels = None
        if isinstance(Q, dict):
            wrong = [key for key in Q if not isinstance(key, tuple) or len(key) != 2]
            if wrong:
                raise ValueError(f"Q: got key {wrong[0]!r}; allowed: pairs of labels")
            labels = tuple(dict.fromkeys(label for pair in Q for label in pair))
            Q = _matrix_of_pairs(Q, labels)
        Q = _square("Q", Q)
        both = Q + Q.T
        linear = Q.diagonal()
        if sparse.issparse(Q):
            both = sparse.csr_array(both - sparse.diags_array(both.diagonal()))
        else:
            np.fill_diagonal(both, 0.0)
        rows = both.sum(axis=1) / 4  # (n,)
        offset = offset + linear.sum() / 2 + rows.sum() / 2
        return cls(linear / 2 + rows, both / 4, offset, labels)

    @classmethod
    def from_bqm(cls, bqm):
        """The model of a `dimod.BinaryQuadraticModel`, SPIN or BINARY, with its labels.

        J is sparse unless a quarter of it is nonzero. O(variables + interactions).
        """
        labels = tuple(bqm.variables)
        linear, (row, col, bias), offset = bqm.to_numpy_vectors(
            variable_order=list(labels)
        )
        pairs = _matrix(len(labels), row, col, bias)
        if bqm.vartype.name == "SPIN":
            return cls(linear, pairs + pairs.T, float(offset), labels)
        linear = np.asarray(linear, dtype=np.float64)
        diagonal = sparse.diags_array(linear, shape=pairs.shape)
        quadratic = pairs + (diagonal if sparse.issparse(pairs) else diagonal.toarray())
        model = cls.from_qubo(quadratic, float(offset))
        return cls(model.h, model.J, model.offset, labels)

    @classmethod
    def from_networkx(cls, graph, weight="weight"):
        """J_ij = weight of the edge ij of a graph, 1 where it has none; no fields.

        Parameters
        ----------
        graph : networkx.Graph
            Undirected, without self-loops; parallel edges add up.
        weight : str
            Name of the edges' attribute.
        """
        return cls(None, graph_matrix(graph, weight), 0.0, tuple(graph))

    def _times_couplings(self, rows):
        """rows @ J for (reads, n) rows."""
        return (self.J @ rows.T).T if self.is_sparse else rows @ self.J

    def _spins(self, spins):
        spins = np.asarray(spins)
        n = self.num_spins
        if spins.ndim == 0 or spins.shape[-1] != n:
            raise ValueError(f"spins: got shape {spins.shape}; allowed: (..., {n})")
        wrong = spins[(spins != 1) & (spins != -1)]
        if wrong.size:
            raise ValueError(f"spins: got {wrong[0]!r}; allowed: -1 and 1")
        return spins


def graph_matrix(graph, weight="weight"):
    """Symmetric `csr_array` of the edge weights of an undirected networkx graph."""
    import networkx

    if graph.is_directed():
        raise ValueError("graph: got a directed graph; allowed: an undirected one")
    if len(graph) == 0:
        return sparse.csr_array((0, 0))
    return sparse.csr_array(
        networkx.to_scipy_sparse_array(graph, weight=weight, dtype=np.float64)
    )


def _couplings(J):
    """A checked copy of J: float64, symmetric, canonical if sparse."""
    J = _square("J", J)
    diagonal = J.diagonal()
    if diagonal.any():
        i = int(np.argmax(diagonal != 0))
        raise ValueError(f"J: got {diagonal[i]} on the diagonal at {i}; allowed: 0")
    difference = abs(J - J.T)
    if difference.size == 0:
        return J
    if difference.max() > SYMMETRY * abs(J).max():
        i, j = np.unravel_index(difference.argmax(), J.shape)
        raise ValueError(
            f"J: got {J[i, j]} at ({i}, {j}) but {J[j, i]} at ({j}, {i}); allowed: a "
            "symmetric matrix"
        )
    if difference.max() > 0:
        J = 0.5 * (J + J.T)
    if sparse.issparse(J):
        J = sparse.csr_array(J)
        J.sort_indices()
    return J


def _square(name, matrix):
    """A float64 copy of a finite square matrix, csr if sparse."""
    if sparse.issparse(matrix):
        matrix = sparse.csr_array(matrix, dtype=np.float64, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        values = matrix.data
    else:
        values = matrix = np.array(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"{name}: got shape {matrix.shape}; allowed: a square matrix (n, n)"
        )
    _refuse_huge(name, values)
    return matrix


def _matrix_of_pairs(Q, labels):
    """The matrix of a dict from pairs of labels to biases."""
    place = {label: i for i, label in enumerate(labels)}
    row = [place[u] for u, _ in Q]
    col = [place[v] for _, v in Q]
    return _matrix(len(labels), row, col, list(Q.values()))


def _matrix(n, row, col, values):
    """An (n, n) matrix of triplets, dense where a quarter of the pairs are there."""
    values = np.asarray(values, dtype=np.float64)
    triplets = (np.asarray(row, dtype=np.int32), np.asarray(col, dtype=np.int32))
    matrix = sparse.csr_array((values, triplets), shape=(n, n))
    if 2 * values.size >= DENSE_SHARE * n * n:
        return matrix.toarray()
    return matrix


def _refuse_huge(name, values):
    wrong = values[~(np.abs(values) <= LARGEST)]
    if wrong.size:
        raise ValueError(
            f"{name}: got {wrong[0]}; allowed: finite numbers up to {LARGEST}"
        )
