"""Whether a gradient method's end depends on where it starts."""

import numpy as np

from qlib.weights.convex import fit_softmax


def descents(study, *, starts, iterations, rng):
    """Loss along L-BFGS from random heads, and how far apart the heads end.

    Parameters
    ----------
    study : Study
    starts : int
        Random heads, weights and bias N(0, 1).
    iterations : sequence of int
        After how many iterations of L-BFGS the loss is noted.
    rng : `numpy.random.Generator`

    Returns
    -------
    losses : (starts, len(iterations)) array
        Nats a sample, penalty included.
    apart : float
        Largest distance between two end points' weights, over the optimum's norm.
    """
    shape = study.optimum.weights.shape
    losses, ends = [], []
    for _ in range(starts):
        start = rng.standard_normal(shape), rng.standard_normal(shape[1])
        fits = [
            fit_softmax(
                study.features, study.labels, l2=study.l2, start=start, maxiter=steps
            )
            for steps in iterations
        ]
        losses.append([fit.loss for fit in fits])
        ends.append(fits[-1].weights)
    pairs = [np.linalg.norm(one - other) for one in ends for other in ends]
    return np.array(losses), max(pairs) / np.linalg.norm(study.optimum.weights)
