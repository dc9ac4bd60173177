"""Second-order rounding: what one weight loses, the later ones make good."""

import numpy as np
from scipy.linalg import cholesky

from qlib.arguments import number_between
from qlib.weights.quantize.calibration import (
    calibration_data,
    cross_entropy,
    probabilities,
    real_head,
)
from qlib.weights.quantize.codes import QuantizedHead, fit_scale, nearest
from qlib.weights.quantize.refit import refit_products

CURVATURES = ("full", "class", "output")
LARGEST_FULL = 6000  # weights; Hessian, two copies and factor: 4 · 288 MB
ROUNDING = 1e-12  # of the mean diagonal with the bias fixed: what may be rounding
DAMPINGS = (0.01, 0.1, 1.0)
FACTORS = tuple(np.geomspace(0.5, 4.0, 13).tolist())
TRIAL_ITERATIONS = 30


def second_order_rounding(
    features,
    labels,
    weights,
    bias,
    bits,
    *,
    curvature=None,
    damping=DAMPINGS,
    scale_factors=FACTORS,
    l2=0.0,
):
    """The head rounded weight by weight with optimal compensation of the errors.

    Around the optimum the loss is ½ eᵀHe in the errors e of the weights, the bias
    having taken its best value. Weights are rounded in order of falling curvature, and
    every error moves the weights still unrounded to where they minimise the quadratic
    form given the error (`round_with_feedback`). All combinations of damping and scale
    factor are rounded, scale and bias refitted, and the head of least calibration loss
    is kept.

    Parameters
    ----------
    features : (n, d) array
    labels : (n,) integer array
        Classes 0 … C − 1.
    weights, bias : (d, C) and (C,) array
        The real head, best at its optimum (`qlib.weights.convex`).
    bits : {1, 1.58, 2, 3, 4}
    curvature : {"full", "class", "output"} or None
        H. "output": the covariance of the features, for squared errors of the logits,
        as GPTQ has it. "class": its diagonal blocks in the softmax's Hessian,
        ∑ p_c (1 − p_c) x xᵀ. "full": the Hessian of all d C weights, in which an error
        of one class is compensated in the others too. None is "full" up to 6000
        weights, else "class".
    damping : float or sequence of floats
        Added to H's diagonal as multiples of its mean, > 0. 0.01 is GPTQ's; larger
        ones win at 1 bit, where errors leave the quadratic regime, and for "output".
        Smaller and larger ones than the default's never won on digits.
    scale_factors : float or sequence of floats
        Tried multiples of the scales of `fit_scale`, > 0. Scales of least squared error
        in the weights are too small where later weights compensate.
    l2 : float
        Strength >= 0 of the penalty l2/2 ‖W‖² in the loss.

    Returns
    -------
    QuantizedHead
        With refitted scale and bias.

    Notes
    -----
    "full": O(n d² C² + d³ C³) and O(d² C²) memory; "class": O(n d² C + d³ C); then
    O(n d C) a combination tried. "output" is C times cheaper than "class".

    References
    ----------
    B. Hassibi, D. G. Stork, NIPS 1992 (optimal brain surgeon).
    E. Frantar, S. Ashkboos, T. Hoefler, D. Alistarh, GPTQ, ICLR 2023.
    """
    weights, bias = real_head(weights, bias)
    features, labels = calibration_data(features, labels, weights.shape)
    dampings = _positive("damping", damping)
    factors = _positive("scale_factors", scale_factors)
    l2 = number_between("l2", l2, 0.0, np.inf)
    if curvature is None:
        curvature = "full" if weights.size <= LARGEST_FULL else "class"
    if curvature not in CURVATURES:
        raise ValueError(f"curvature: got {curvature!r}; allowed: {CURVATURES} or None")
    scale = fit_scale(weights, bits)
    hessians = curvatures(features, weights, bias, curvature)
    best, least = None, np.inf
    for share in dampings:
        codes = _round_all(hessians, share, l2, weights, scale, factors, bits)
        for factor, trial in zip(factors, codes, strict=True):
            head = QuantizedHead(trial, factor * scale, bias, bits)
            products = features @ trial.astype(np.float64)
            head = refit_products(
                head, products, labels, l2=l2, iterations=TRIAL_ITERATIONS
            )
            logits = products * head.scale + head.bias
            loss = cross_entropy(logits, labels) + l2 / 2 * np.sum(head.weights**2)
            if loss < least:
                best, least = head, loss
    return refit_products(best, features @ best.codes.astype(np.float64), labels, l2=l2)


def round_with_feedback(hessian, weights, scale, bits):
    """Codes of weights rounded one after another, errors compensated by those after.

    With the errors e of the weights before i given, the form eᵀHe is least over those
    from i on at ``w_i + (∑_{j<i} M_ji e_j) / M_ii``, where H = M Mᵀ with M upper
    triangular; that value is rounded. This is the update of the optimal brain surgeon
    with one factorisation for all of its inverses, and Babai's nearest plane in the
    lattice of M: the form ends as ∑_i M_ii² (rounding error at i)².

    Parameters
    ----------
    hessian : (N, N) array
        Symmetric, positive definite.
    weights : (N, K) array
        K independent columns.
    scale : (N, K) array
        Of each weight's grid.
    bits : {1, 1.58, 2, 3, 4}

    Returns
    -------
    (N, K) int8 array

    Notes
    -----
    O(N³/3 + N² K). The equivalence: J. Chen et al., arXiv:2507.18553 (2025).
    """
    reverse = cholesky(hessian[::-1, ::-1], lower=True, check_finite=False)
    columns = np.ascontiguousarray(reverse[::-1, ::-1].T)  # row i is column i of M
    errors = np.zeros_like(weights)
    codes = np.empty(weights.shape, dtype=np.int8)
    for i in range(weights.shape[0]):
        target = weights[i] + columns[i, :i] @ errors[:i] / columns[i, i]
        codes[i] = nearest(target[None], bits, scale[i])[0]
        errors[i] = weights[i] - codes[i] * scale[i]
    return codes


def curvatures(features, weights, bias, curvature):
    """Hessians (B, N, N) of the loss with the bias at its best value.

    B, N = 1, d for "output"; C, d for "class"; 1, d C, index j C + c, for "full", with
    1e-12 of the mean diagonal added: where the bias can undo every error, as with equal
    features, all but rounding cancels.
    """
    samples, d = features.shape
    classes = weights.shape[1]
    if curvature == "output":
        return _weighted_covariance(features, np.ones(samples))[None]
    shares = probabilities(features @ weights + bias)
    if curvature == "class":
        mass = shares * (1 - shares)
        return np.stack([_weighted_covariance(features, m) for m in mass.T])
    inputs = np.column_stack([features, np.ones(samples)])
    blocks = np.empty((d + 1, classes, d + 1, classes))
    for c in range(classes):
        for k in range(c + 1):
            mass = shares[:, c] * ((c == k) - shares[:, k])
            block = inputs.T @ (inputs * mass[:, None]) / samples
            blocks[:, c, :, k] = blocks[:, k, :, c] = block
    size = d * classes
    full = blocks.reshape(size + classes, size + classes)
    mixed = full[:size, size:]
    inverse = np.linalg.pinv(full[size:, size:], hermitian=True)
    hessian = full[:size, :size]
    floor = ROUNDING * np.trace(hessian) / size
    hessian -= mixed @ inverse @ mixed.T
    hessian[np.diag_indices(size)] += floor
    return hessian[None]


def _weighted_covariance(features, mass):
    total = max(mass.sum(), np.finfo(float).tiny)
    centred = features - mass @ features / total
    return centred.T @ (centred * mass[:, None]) / mass.size


def _round_all(hessians, share, l2, weights, scale, factors, bits):
    """Codes (factors, d, C) with damping, all scale factors at once."""
    d, classes = weights.shape
    batch, size, _ = hessians.shape
    columns = d * classes // (batch * size)
    wanted = _grouped(weights, batch, size, columns)
    grid = _grouped(np.broadcast_to(scale, weights.shape), batch, size, columns)
    codes = np.empty((batch, size, columns, len(factors)), dtype=np.int8)
    for group, hessian in enumerate(hessians):
        diagonal = np.diag(hessian)
        order = np.argsort(-diagonal, kind="stable")
        damped = hessian[np.ix_(order, order)]
        floor = share * diagonal.mean() + l2
        damped[np.diag_indices(size)] += max(floor, np.finfo(float).tiny)
        shape = (size, columns, len(factors))
        targets = np.broadcast_to(wanted[group][order, :, None], shape)
        grids = grid[group][order, :, None] * np.asarray(factors)
        rounded = round_with_feedback(
            damped, targets.reshape(size, -1), grids.reshape(size, -1), bits
        )
        codes[group, order] = rounded.reshape(shape)
    if batch == classes:  # (C, d, 1, F)
        return codes[:, :, 0].transpose(2, 1, 0)
    return codes.reshape(d, classes, -1).transpose(2, 0, 1)


def _grouped(values, batch, size, columns):
    """(d, C) as (B, N, columns) in the layout of `curvatures`."""
    if columns == 1 and batch > 1:
        return values.T[:, :, None]
    return values.reshape(batch, size, columns)


def _positive(name, values):
    values = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if values.ndim != 1 or values.size == 0 or not (values > 0).all():
        raise ValueError(f"{name}: got {values.tolist()}; allowed: numbers > 0")
    return [number_between(name, v, 0.0, np.inf, open_low=True) for v in values]
