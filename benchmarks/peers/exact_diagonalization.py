"""Two levels and the half-chain entropy by scipy, quimb and QuSpin.

Models are named as in `benchmarks/exact_diagonalization.py`, whose head says how the
peers are called and why so.
"""

from dataclasses import dataclass

import numpy as np

TOL = 1e-9  # what it bounds: the head of the benchmark
DELTA, FIELD = 0.5, 0.5  # of the XXZ chain, of the cluster ring


@dataclass
class Answer:
    """Energies ascending, Schmidt probabilities, the residual as a function."""

    energies: np.ndarray
    p: np.ndarray
    residual: callable
    products: int = 0


def our_hamiltonian(model, N):
    """The `PauliSum`, whose CSR matrix scipy is given."""
    from qlib.entanglement import hamiltonians

    if model == "TFIM":
        return hamiltonians.tfim(N)
    if model == "cluster":
        return hamiltonians.cluster(N, FIELD, boundary="periodic")
    return hamiltonians.xxz(N, DELTA)


def scipy_csr(model, N):
    from scipy.sparse.linalg import eigsh

    matrix = our_hamiltonian(model, N).sparse()
    states = slice(None)
    if model == "XXZ, sz = 0":
        states = sector_states(N)
        matrix = matrix[states][:, states]
    energies, vectors = eigsh(matrix, k=2, which="SA", tol=TOL)
    return dense_answer(matrix, energies, vectors, states, N)


def quimb(model, N):
    import quimb as qu

    qu.ham_heis.cache_clear()
    states = slice(None)
    if model == "TFIM":
        matrix = qu.ham_ising(N, jz=-4.0, bx=2.0, sparse=True).copy()
    elif model == "XXZ":
        matrix = qu.ham_heis(N, j=(1.0, 1.0, DELTA), sparse=True).copy()
    else:
        builder, states = quimb_builder(model, N)
        matrix = builder.build_sparse_matrix(dtype=np.float64)
    energies, vectors = qu.eigh(matrix, k=2, tol=TOL)
    return dense_answer(matrix, energies, np.asarray(vectors), states, N)


def quimb_builder(model, N):
    from quimb.operator import HilbertSpace, SparseOperatorBuilder

    if model == "cluster":
        builder = SparseOperatorBuilder(hilbert_space=HilbertSpace(N))
        for i in range(N):
            left, right = (i - 1) % N, (i + 1) % N
            builder.add_term(-1.0, ("z", left), ("x", i), ("z", right))
            builder.add_term(-FIELD, ("x", i))
        return builder, slice(None)
    space = HilbertSpace(N, symmetry="U1", sector=N // 2)
    builder = SparseOperatorBuilder(hilbert_space=space)
    for i in range(N - 1):
        builder.add_term(0.5, ("+", i), ("-", i + 1))
        builder.add_term(0.5, ("-", i), ("+", i + 1))
        builder.add_term(DELTA, ("sz", i), ("sz", i + 1))
    return builder, sector_states(N)  # of the same order: rising bits


def quspin(model, N):
    symmetries = {"Nup": N // 2} if model == "XXZ, sz = 0" else {}
    return quspin_with(symmetries, model, N)


def quspin_symmetric(model, N):
    sign = (-1) ** (N // 2)  # of the singlets under reflection and spin inversion
    symmetries = {
        "TFIM": {"pblock": 1, "zblock": 1},
        "XXZ": {"Nup": N // 2, "pblock": sign, "zblock": sign},
        "XXZ, sz = 0": {"Nup": N // 2, "pblock": sign, "zblock": sign},
        "cluster": {"kblock": 0, "pblock": 1, "zblock": 1},
    }
    return quspin_with(symmetries[model], model, N)


def quspin_with(symmetries, model, N):
    from quspin.basis import spin_basis_1d
    from quspin.operators import hamiltonian

    basis = spin_basis_1d(N, pauli=not model.startswith("XXZ"), **symmetries)
    bonds = [[i, i + 1] for i in range(N - 1)]
    if model == "TFIM":
        static = [["zz", [[-1.0, *bond] for bond in bonds]]]
        static += [["x", [[-1.0, i] for i in range(N)]]]
    elif model == "cluster":
        triples = [[-1.0, (i - 1) % N, i, (i + 1) % N] for i in range(N)]
        static = [["zxz", triples], ["x", [[-FIELD, i] for i in range(N)]]]
    else:
        static = [[flip, [[0.5, *bond] for bond in bonds]] for flip in ("+-", "-+")]
        static += [["zz", [[DELTA, *bond] for bond in bonds]]]
    checks = dict.fromkeys(("check_symm", "check_herm", "check_pcon"), False)
    H = hamiltonian(static, [], basis=basis, dtype=np.float64, **checks)
    energies, vectors = H.eigsh(k=2, which="SA", tol=TOL)
    ground = vectors[:, 0]
    full = basis.project_from(ground, sparse=False) if symmetries else ground
    return Answer(
        energies, half_chain(full, N), lambda: residual(H.tocsr(), energies, ground)
    )


def sector_states(N):
    states = np.arange(1 << N)
    return states[np.bitwise_count(states) == N // 2]


def dense_answer(matrix, energies, vectors, states, N):
    full = np.zeros(1 << N)
    full[states] = vectors[:, 0]
    return Answer(
        energies, half_chain(full, N), lambda: residual(matrix, energies, vectors[:, 0])
    )


def half_chain(psi, N):
    matrix = np.reshape(psi, (1 << N // 2, -1))
    return np.linalg.svd(matrix, compute_uv=False) ** 2


def residual(matrix, energies, ground):
    return float(np.linalg.norm(matrix @ ground - energies[0] * ground))
