"""Heads for fine-tuning: by gradients, by annealing, by rounding, by chance."""

from dataclasses import replace

from qlib.weights.quantize.annealing import simulated_annealing_codes
from qlib.weights.quantize.codes import levels
from qlib.weights.training import train_last_layer
from qlib.weights.trials import bits


def random_codes(study, width, rng):
    """Random codes with the scales and bias that the rounded optimum has."""
    near = bits.rounded(study, width)
    return replace(near, codes=rng.choice(levels(width), size=near.codes.shape))


def heads(study, *, width, sweeps, temperatures, lr, epochs, rng):
    """Weights and bias on the study's features, by method.

    Parameters
    ----------
    study : Study
    width : {1, 1.58, 2, 3, 4}
        Bits of the annealed and of the random codes.
    sweeps : int
    temperatures : (float, float)
        Of annealing, which starts from random codes.
    lr, epochs
        Of SGD on the last layer, batches of 64, from zero; the rate falls to zero.
    rng : `numpy.random.Generator`

    Returns
    -------
    dict
        Method to (weights (d, C), bias (C,)); "rounding" is the optimum in codes as
        the annealed ones, "random search" random codes with their best scale and bias.
    """
    data = study.features, study.labels
    start = random_codes(study, width, rng)
    found = simulated_annealing_codes(
        *data,
        start,
        sweeps=sweeps,
        temperature_range=temperatures,
        l2=study.l2,
        rng=rng,
    )
    annealed, chance = bits.fitted(study, found.head), bits.fitted(study, start)
    near = bits.rounded(study, width)
    ways = dict(epochs=epochs, cosine=True, l2=study.l2, rng=rng)
    sgd = train_last_layer(*data, lr=lr, **ways)
    return {
        "SGD": (sgd.weights, sgd.bias),
        "L-BFGS": (study.optimum.weights, study.optimum.bias),
        "SA": (annealed.weights, annealed.bias),
        "rounding": (near.weights, near.bias),
        "random search": (chance.weights, chance.bias),
    }
