"""The differentiable control: the same loss by gradients, real or straight-through."""

import numpy as np
from scipy.optimize import minimize

from qlib.arguments import number_between, positive_integer
from qlib.weights.arguments import finite_array
from qlib.weights.batchnorm import kernels
from qlib.weights.batchnorm.levels import BatchNormCodes, on_levels


def loss_and_gradient(group, gamma, beta):
    """Loss and its gradient in all scales and shifts. O(n c (P + C)).

    Parameters
    ----------
    group : BatchNormGroup
        It is left at `gamma` and `beta`.
    gamma, beta : (c,) array

    Returns
    -------
    float
        Mean cross-entropy in nats.
    (2, c) array
        Row 0 in the scales, row 1 in the shifts; the ReLU's slope at zero is zero.
    """
    group.set(gamma, beta)
    a = group.arrays
    residual = a.exps * a.inverse  # (C, n)
    residual[a.labels, np.arange(a.labels.size)] -= 1
    slopes = a.weights @ (residual / a.labels.size)  # (c, n)
    gradient = np.empty((2, group.channels))
    kernels.group_gradient(a, slopes, gradient[0], gradient[1])
    return group.loss, gradient


def gradient_descent(group, gamma, beta, *, iterations=100):
    """Minimise the loss over real scales and shifts by L-BFGS.

    Parameters
    ----------
    group : BatchNormGroup
        It is left at the result.
    gamma, beta : (c,) array
        Start.
    iterations : int
        Most iterations, >= 1. The loss may fall for ever on data that the features
        separate, so this is what ends the search there.

    Returns
    -------
    (c,) array, (c,) array
        Scales and shifts; never of a higher loss than the start.

    Notes
    -----
    O(n c (P + C)) an iteration. D. C. Liu, J. Nocedal, Math. Program. 45, 503 (1989).
    """
    iterations = positive_integer("iterations", iterations)
    start = np.stack(
        [
            finite_array("gamma", gamma, (group.channels,)),
            finite_array("beta", beta, (group.channels,)),
        ]
    )

    def flat(values):
        loss, gradient = loss_and_gradient(group, *values.reshape(2, -1))
        return loss, gradient.ravel()

    found = minimize(
        flat,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "ftol": 1e-12, "gtol": 1e-8},
    )
    gamma, beta = found.x.reshape(2, -1)
    group.set(gamma, beta)
    return gamma, beta


def straight_through(group, start, *, steps=200, learning_rate=1.0):
    """Train codes through their gradient: forward rounded, backward as if it were not.

    Real scales and shifts are rounded to the levels of `start` for the loss, and the
    gradient there moves the real ones by Adam, within the ends of the grids. The best
    rounded state met is returned.

    Parameters
    ----------
    group : BatchNormGroup
        It is left at the result.
    start : BatchNormCodes
    steps : int
        Gradients computed, >= 1.
    learning_rate : float
        Of Adam, in steps of each grid, > 0; it falls linearly to zero. The default is
        the best of 0.1, 0.3, 1 and 3 at 2 bits on a ResNet-18's last block, and within
        0.0001 nats of the best at 1 bit.
        The other settings of Adam are its authors'.

    Returns
    -------
    BatchNormCodes
        Its loss is at most that of `start`.

    Notes
    -----
    O(n c (P + C)) a step, all samples at once.

    References
    ----------
    Y. Bengio, N. Léonard, A. Courville, arXiv:1308.3432 (2013).
    D. P. Kingma, J. Ba, ICLR 2015 (arXiv:1412.6980).
    """
    steps = positive_integer("steps", steps)
    number_between("learning_rate", learning_rate, 0.0, np.inf, open_low=True)
    grids = start.gamma_levels, start.beta_levels
    ends = np.array([[[grid[0]], [grid[-1]]] for grid in grids])  # (2, ends, 1)
    low, high = ends[:, 0], ends[:, 1]  # (2, 1)
    unit = (high - low) / np.array([[max(1, grid.size - 1)] for grid in grids])
    real = np.stack([start.gamma, start.beta])  # (2, c)
    mean, square = np.zeros_like(real), np.zeros_like(real)
    best, lowest = start, np.inf
    for step in range(1, steps + 1):
        rounded = on_levels(*real, *grids)
        loss, gradient = loss_and_gradient(group, rounded.gamma, rounded.beta)
        if loss < lowest:
            best, lowest = rounded, loss
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        corrected = np.sqrt(square / (1 - 0.999**step)) + 1e-30
        rate = learning_rate * unit * (1 - (step - 1) / steps)
        real = real - rate * mean / (1 - 0.9**step) / corrected
        real = np.clip(real, low, high)
    group.set(best.gamma, best.beta)
    return BatchNormCodes(best.codes, *grids)
