"""Stochastic reconfiguration: imaginary time projected on the parameters.

Both ways solve min |X δ − ε|² + shift |δ|², X the centred logarithmic derivatives and ε
the centred local energies, both over √M: in parameters,
δ = (X†X + shift)⁻¹ X†ε (Sorella, Phys. Rev. Lett. 80, 4558, 1998), or in samples,
δ = X†(XX† + shift)⁻¹ ε (minSR: Chen and Heyl, Nat. Phys. 20, 1476, 2024; Rende et al.,
Commun. Phys. 7, 260, 2024). These are equal.
"""

import torch
from scipy import linalg


def natural_gradient(derivatives, energies, *, diag_shift, method):
    """δ of one step: the parameters move by −learning rate · δ.

    Parameters
    ----------
    derivatives : DenseDerivatives or RBMDerivatives
    energies : (M,) tensor
        Local energies of the same configurations.
    diag_shift : float
        Added to the diagonal.
    method : {"auto", "sr", "minsr"}
        Which matrix is factorised: parameters squared, O(M P² + P³), or samples
        squared, O(M² P + M³); for an RBM O(M² N + M³). At "auto" the smaller one.

    Returns
    -------
    (P,) tensor
        Complex for complex analytic parameters.

    Raises
    ------
    LinAlgError
        If the matrix is not finite, or not positive to rounding.
    """
    rows, parameters = derivatives.shape
    if method == "auto":
        method = "sr" if parameters <= rows else "minsr"
    target = derivatives.rows(energies)
    if method == "sr":
        force = derivatives.adjoint(target)
        found = _solve(derivatives.metric(), force, diag_shift)
    else:
        found = derivatives.adjoint(_solve(derivatives.gram(), target, diag_shift))
    return derivatives.spread(found)


def _solve(matrix, vector, shift):
    """(matrix + shift)⁻¹ vector of a Hermitian matrix, which is overwritten.

    SciPy's factorisation, where the matrix is in its memory, takes half of torch's
    time; it sees rows as columns, so the conjugate.
    """
    matrix.diagonal().add_(shift)
    if matrix.device.type != "cpu":
        factor = torch.linalg.cholesky(matrix)
        return torch.cholesky_solve(vector[:, None], factor)[:, 0]
    factor = linalg.cho_factor(
        matrix.numpy().T, lower=True, overwrite_a=True, check_finite=False
    )
    found = linalg.cho_solve(factor, vector.conj().resolve_conj().numpy())
    return torch.from_numpy(found).conj().resolve_conj()
