"""Heads from which a network is fine-tuned: by gradients, by annealing, by chance."""

from dataclasses import replace

from qlib.weights.quantize.codes import levels
from qlib.weights.training import train_last_layer
from qlib.weights.trials import bits


def heads(study, ways, width, *, lr, epochs, rng):
    """Weights and bias on the study's features, by method.

    Parameters
    ----------
    study : Study
    ways : dict
        Settings of SA, as `trials.bits.tuned` returns them.
    width : {1, 1.58, 2, 3, 4}
        Bits of the annealed and of the random codes.
    lr, epochs
        Of SGD on the last layer, batches of 64, from zero.
    rng : `numpy.random.Generator`

    Returns
    -------
    dict
        Method to (weights (d, C), bias (C,)); "random search" draws codes at random
        and fits their scale and bias.
    """
    start = bits.second_order(study, width)
    annealed = bits.METHODS["SA"](study, width, start, rng, **ways)
    drawn = rng.choice(levels(width), size=start.codes.shape)
    chance = bits.fitted(study, replace(start, codes=drawn))
    sgd = train_last_layer(
        study.features, study.labels, lr=lr, epochs=epochs, l2=study.l2, rng=rng
    )
    return {
        "SGD": (sgd.weights, sgd.bias),
        "L-BFGS": (study.optimum.weights, study.optimum.bias),
        "SA": (annealed.weights, annealed.bias),
        "random search": (chance.weights, chance.bias),
    }
