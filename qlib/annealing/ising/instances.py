"""Models to test samplers on: maximum cut, ±J lattices, Sherrington-Kirkpatrick."""

import re

import numpy as np
from scipy import sparse

from qlib.annealing.ising.model import IsingModel, graph_matrix
from qlib.arguments import positive_integer


def max_cut(graph, weight="weight"):
    """The model whose energy is minus the weight of the cut between s = 1 and s = −1.

    Parameters
    ----------
    graph : networkx.Graph
        Undirected, without self-loops; parallel edges add up.
    weight : str
        Name of the edges' attribute; an edge without it weighs 1.

    Returns
    -------
    IsingModel
        J_ij = w_ij / 2, offset −Σ_edges w / 2.
    """
    return _cut_model(graph_matrix(graph, weight), tuple(graph))


def read_gset(path):
    """The maximum cut of a graph in the G-set format; energy = minus the cut.

    Parameters
    ----------
    path : path
        Text: a line "vertices edges", then a line "i j weight" an edge, vertices
        counted from 1. Blank lines are passed over.

    Returns
    -------
    IsingModel
        Sparse, with the file's vertex numbers as labels.

    Raises
    ------
    ValueError
        For a line that is not of that form, a vertex out of range, a loop, an edge
        given twice, or another number of edges than announced; names file and line.

    References
    ----------
    C. Helmberg, F. Rendl, SIAM J. Optim. 10, 673 (2000); the generator is rudy by
    G. Rinaldi.
    """
    with open(path, encoding="utf-8") as file:
        lines = [(k, line) for k, line in enumerate(file, 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path}: got no line; allowed: 'vertices edges' first")
    vertices, announced = _numbers(path, *lines[0], "vertices edges")
    edges = {}
    for number, line in lines[1:]:
        i, j, weight = _numbers(path, number, line, "vertex vertex weight")
        pair = (min(i, j), max(i, j))
        if not 1 <= pair[0] < pair[1] <= vertices or pair in edges:
            raise ValueError(
                f"{path}, line {number}: got edge {i} {j}; allowed: two different "
                f"vertices from 1 to {vertices}, each pair once"
            )
        edges[pair] = weight
    if len(edges) != announced:
        raise ValueError(f"{path}: got {len(edges)} edges; allowed: {announced}, said")
    ends = np.array(list(edges), dtype=np.int32).reshape(-1, 2) - 1  # (edges, 2)
    weights = np.array(list(edges.values()), dtype=np.float64)
    return _cut_model(_symmetric(vertices, ends, weights), range(1, vertices + 1))


def random_pm_j(L, *, periodic=True, rng=None):
    """The ±J spin glass of Edwards and Anderson on an L × L square lattice.

    Parameters
    ----------
    L : int
        Edge, >= 3 if periodic (at 2 a pair would be coupled twice), else >= 1.
    periodic : bool
        A torus with 2L² couplings, or a planar lattice with 2L(L−1).
    rng : int, `numpy.random.Generator` or None
        Source of the signs.

    Returns
    -------
    IsingModel
        Sparse; J = 1 or −1 with equal chance, no fields; spin (row, column) has index
        row · L + column.

    References
    ----------
    S. F. Edwards, P. W. Anderson, J. Phys. F 5, 965 (1975).
    """
    L = positive_integer("L", L)
    if periodic and L < 3:
        raise ValueError(f"L: got {L}; allowed on a torus: an integer >= 3")
    site = np.arange(L * L).reshape(L, L)
    if periodic:
        right, below = np.roll(site, -1, axis=1), np.roll(site, -1, axis=0)
        pairs = [(site, right), (site, below)]
    else:
        pairs = [(site[:, :-1], site[:, 1:]), (site[:-1], site[1:])]
    ends = np.concatenate(
        [np.stack([a.ravel(), b.ravel()], axis=1) for a, b in pairs]
    )  # (edges, 2)
    signs = np.random.default_rng(rng).choice([-1.0, 1.0], size=len(ends))
    return IsingModel(None, _symmetric(L * L, ends, signs))


def sherrington_kirkpatrick(N, *, rng=None):
    """The mean-field spin glass: J_ij normal with variance 1/N, no fields.

    The ground state energy per spin tends to −0.7632 as N grows (Parisi's solution).

    Parameters
    ----------
    N : int
        Spins, >= 1.
    rng : int, `numpy.random.Generator` or None
        Source of the couplings.

    Returns
    -------
    IsingModel
        Dense.

    References
    ----------
    D. Sherrington, S. Kirkpatrick, Phys. Rev. Lett. 35, 1792 (1975).
    G. Parisi, J. Phys. A 13, L115 (1980).
    """
    N = positive_integer("N", N)
    draw = np.random.default_rng(rng).standard_normal((N, N)) / np.sqrt(N)
    upper = np.triu(draw, k=1)
    return IsingModel(None, upper + upper.T)


def _cut_model(weights, variables):
    """The maximum cut of a symmetric sparse matrix of weights."""
    return IsingModel(None, weights / 2, -weights.sum() / 4, tuple(variables))


def _symmetric(n, ends, weights):
    """The symmetric `csr_array` of an edge list (edges, 2)."""
    upper = sparse.csr_array((weights, (ends[:, 0], ends[:, 1])), shape=(n, n))
    return sparse.csr_array(upper + upper.T)


def _numbers(path, number, line, form):
    """The numbers of one line: integers, the third may have a fraction."""
    words = line.split()
    patterns = [r"\d+", r"\d+", r"[+-]?\d+(\.\d*)?"][: len(form.split())]
    if len(words) != len(patterns) or not all(map(re.fullmatch, patterns, words)):
        raise ValueError(
            f"{path}, line {number}: got {line.strip()!r}; allowed: {form!r}"
        )
    return int(words[0]), int(words[1]), *map(float, words[2:])
