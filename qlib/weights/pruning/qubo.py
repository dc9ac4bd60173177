"""Which channels to keep, as a QUBO: spin +1 keeps a channel, −1 removes it."""

import numpy as np
from scipy.special import softmax

from qlib.annealing.ising import IsingModel
from qlib.weights.arguments import class_labels, finite_array
from qlib.weights.pruning.moments import feature_moments, second_moment


def reconstruction_qubo(features, weights, *, refit_bias=True):
    """Mean squared error of a head's logits as an Ising model of the kept features.

    With m_j = 1 for a removed feature and 0 for a kept one, the logits change by
    −Σ_j m_j x_j W_j and the squared change, summed over classes and averaged over
    samples, is Σ_jj' m_j m_j' (XᵀX/n)_jj' (WWᵀ)_jj': quadratic, without approximation,
    as long as the kept weights stay as they are.

    Parameters
    ----------
    features : (n, d) array
    weights : (d, C) array
    refit_bias : bool
        Whether the bias takes over the mean of what is removed. The covariance of the
        features then stands in place of XᵀX/n, and the energy is the error after the
        best change of the bias. True by default: that change is free.

    Returns
    -------
    IsingModel
        d spins, +1 = kept. Energies in squared logits; 0 with every feature kept.

    Notes
    -----
    O(n d² + d² C).
    """
    return moments_qubo(feature_moments(features), weights, refit_bias=refit_bias)


def moments_qubo(moments, weights, *, refit_bias=True):
    """The same error for any linear layer, from the moments of its inputs.

    Parameters
    ----------
    moments : InputMoments
        c channels of b inputs each.
    weights : (c·b, outputs) array
        Rows in the order of the moments.
    refit_bias : bool
        As in `reconstruction_qubo`.

    Returns
    -------
    IsingModel
        c spins, +1 = kept.
    """
    weights = finite_array("weights", weights, (moments.mean.size, "outputs"))
    gram = moments.covariance if refit_bias else second_moment(moments)
    overlap = gram * (weights @ weights.T)  # (c·b, c·b)
    blocks = (moments.channels, moments.block)
    return removal_model(overlap.reshape(blocks + blocks).sum(axis=(1, 3)))


def fisher_qubo(gradients):
    """Second-order estimate of the loss after removal, from gradients of gates.

    A gate z_j = 1 multiplies channel j; removal sets it to 0. With the per-sample
    gradients g_nj = ∂ℓ_n/∂z_j at 1, ḡ their mean and F = (1/n) Σ_n g_n g_nᵀ the
    empirical Fisher matrix in the place of the Hessian, the loss rises by about
    −ḡᵀm + ½ mᵀFm. The signed first-order term is the Taylor criterion of Molchanov
    et al. before they take its absolute value (2017) or its square (2019); the diagonal
    ½ F_jj is the Fisher pruning of Theis et al., whose first-order term is dropped at
    an optimum. What a QUBO adds is F's off-diagonal part: which channels replace each
    other.

    Parameters
    ----------
    gradients : (n, c) array
        One row a sample, of that sample's loss in nats (not divided by n).

    Returns
    -------
    IsingModel
        c spins, +1 = kept. Energies in nats; 0 with every channel kept.

    Notes
    -----
    O(n c²). Unlike `reconstruction_qubo` this is an estimate, exact for no mask but
    the full one and its first derivative there.

    References
    ----------
    P. Molchanov et al., ICLR 2017 (arXiv:1611.06440); CVPR 2019 (arXiv:1906.10771).
    L. Theis et al., arXiv:1801.05787 (2018).
    """
    gradients = finite_array("gradients", gradients, ("n", "channels"))
    samples = gradients.shape[0]
    cost = gradients.T @ gradients / (2 * samples)
    cost[np.diag_indices_from(cost)] -= gradients.mean(axis=0)
    return removal_model(cost)


def head_gate_gradients(features, labels, weights, bias):
    """Gradient of each sample's cross-entropy in a gate on each feature.

    g_nj = x_nj Σ_c W_jc (p_nc − [c = y_n]), p the softmax of the logits XW + b.

    Parameters
    ----------
    features : (n, d) array
    labels : (n,) int array
    weights : (d, C) array
    bias : (C,) array

    Returns
    -------
    (n, d) array
        Nats.
    """
    features = finite_array("features", features, ("n", "d"))
    weights = finite_array("weights", weights, (features.shape[1], "C"))
    classes = weights.shape[1]
    bias = finite_array("bias", bias, (classes,))
    labels = class_labels(labels, features.shape[0], classes)
    residual = softmax(features @ weights + bias, axis=1)  # (n, C)
    residual[np.arange(labels.size), labels] -= 1
    return features * (residual @ weights.T)


def removal_model(cost):
    """The Ising model with energy mᵀ Q m, m = (1 − s)/2 the removed channels.

    Parameters
    ----------
    cost : (c, c) array
        Q, symmetric. A linear cost stands on its diagonal, for m_j² = m_j.

    Returns
    -------
    IsingModel
        c spins, +1 = kept.

    Raises
    ------
    ValueError
        If Q is not square, symmetric to 1e-9 of its largest entry, and finite.
    """
    cost = finite_array("cost", cost, ("channels", "channels"))
    if cost.shape[0] != cost.shape[1]:
        raise ValueError(f"cost: got shape {cost.shape}; allowed: a square matrix")
    skew = np.abs(cost - cost.T).max()
    if skew > 1e-9 * np.abs(cost).max():
        raise ValueError(f"cost: got an asymmetry of {skew}; allowed: symmetric")
    kept = (cost + cost.T) / 2
    total = kept.sum()
    kept[np.diag_indices_from(kept)] -= 2 * kept.sum(axis=1)
    return IsingModel.from_qubo(kept, offset=total)  # (1 − x)ᵀ Q (1 − x)
