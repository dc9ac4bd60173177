"""Which k channels to keep: magnitude, random, annealing, and all of them."""

from typing import NamedTuple

import numpy as np

from qlib.annealing.ising import IsingModel
from qlib.arguments import positive_integer
from qlib.weights.arguments import finite_array, kept_count, kept_mask

BETA_COSTS = (1.0, 1e4)  # first and last β times the median cost of a removal
ENUMERATED = 20  # channels: at most 184 756 masks of equal count


class Selection(NamedTuple):
    """Channels that are kept, and the energy of that choice."""

    kept: np.ndarray  # (c,) bool
    energy: float


def selection(model, kept):
    """The `Selection` of a given mask, its energy that of `model`.

    Parameters
    ----------
    model : IsingModel
        c spins, +1 = kept.
    kept : (c,) bool array
    """
    kept = kept_mask(kept, model.num_spins)
    return Selection(kept.copy(), float(model.energy(np.where(kept, 1, -1))))


def largest(scores, keep):
    """Mask of the `keep` largest scores, the first of equals, (c,) bool."""
    scores = finite_array("scores", scores, ("channels",))
    keep = kept_count(keep, scores.size)
    kept = np.zeros(scores.size, dtype=np.bool_)
    kept[np.argsort(-scores, kind="stable")[:keep]] = True
    return kept


def weight_norms(weights, block=1):
    """Norm of each channel's weights: plain magnitude pruning.

    Parameters
    ----------
    weights : (c·b, outputs) array
        Rows of channel 0 first.
    block : int
        Rows b of a channel.

    Returns
    -------
    (c,) array
        Scores for `largest`.
    """
    weights = finite_array("weights", weights, ("inputs", "outputs"))
    block = positive_integer("block", block)
    if weights.shape[0] % block:
        raise ValueError(f"block: got {block}; allowed: divisors of {len(weights)}")
    return np.linalg.norm(weights.reshape(weights.shape[0] // block, -1), axis=1)


def removal_costs(model):
    """Energy of removing one channel and no other: the strong form of magnitude.

    For a reconstruction error with refitted bias this is the squared norm of the
    weights times the variance of the feature; for a Fisher QUBO, the Taylor-and-Fisher
    saliency of Theis et al. (2018).

    Parameters
    ----------
    model : IsingModel
        c spins, +1 = kept.

    Returns
    -------
    (c,) array
        Scores for `largest`. O(c²) for all.
    """
    return -2 * model.local_fields(np.ones(model.num_spins, dtype=np.int8))


def random_mask(channels, keep, rng=None):
    """Uniformly random mask with `keep` of `channels` kept, (channels,) bool."""
    keep = kept_count(keep, channels)
    kept = np.zeros(channels, dtype=np.bool_)
    kept[np.random.default_rng(rng).permutation(channels)[:keep]] = True
    return kept


def anneal(model, keep, *, sampler=None, penalty=None, **settings):
    """Mask of lowest energy that an Ising sampler finds among masks of `keep` channels.

    Parameters
    ----------
    model : IsingModel
        c spins, +1 = kept.
    keep : int
        Channels kept, 0 to c.
    sampler : dimod.Sampler or None
        None for `FixedCardinalitySampler`, whose swap moves hold the count exactly.
    penalty : float or None
        For a sampler that knows no constraint, such as annealing hardware: P > 0 adds
        P (Σx − keep)² to the energy, and reads of another count are dropped. It must
        exceed what a single channel can gain, max |2 · local field|, or the count is
        violated at the optimum. None passes `cardinality=keep` to the sampler.
    **settings
        Passed to ``sampler.sample``: `num_reads`, `num_sweeps`, `seed`, … With
        `sampler` None, `beta_range` is by default 1 and 10⁴ over the median cost of a
        single removal. Costs span decades, and the sampler's own default, made for
        the extremes, spends its sweeps too hot: on 256 features of digits, 128 kept,
        it missed the lowest known energy in 1 of 3 runs, this one in 0 of 8.

    Returns
    -------
    Selection

    Raises
    ------
    RuntimeError
        If no read keeps exactly `keep` channels; a larger penalty helps.
    """
    keep = kept_count(keep, model.num_spins)
    asked = model if penalty is None else counted(model, keep, penalty)
    if keep in (0, model.num_spins):
        return selection(model, np.full(model.num_spins, keep > 0))
    if penalty is None:
        settings["cardinality"] = keep
    elif sampler is None:
        raise ValueError(
            f"penalty: got {penalty!r} without a sampler; allowed: None, for the "
            "default sampler holds the count exactly"
        )
    if sampler is None:
        from qlib.annealing.ising.fixed_cardinality import FixedCardinalitySampler

        sampler = FixedCardinalitySampler()
        scale = np.median(np.abs(removal_costs(model)))
        if scale > 0:
            settings.setdefault("beta_range", tuple(np.array(BETA_COSTS) / scale))
    answer = sampler.sample(asked.to_bqm(), **settings)
    order = [answer.variables.index(name) for name in model.variables]
    kept = answer.record.sample[:, order] > 0  # (reads, c)
    kept = kept[kept.sum(axis=1) == keep]
    if not len(kept):
        raise RuntimeError(
            f"penalty: got {penalty}; none of the reads keeps {keep} channels, a "
            "larger penalty is needed"
        )
    best = np.argmin(model.energy(np.where(kept, 1, -1)))
    return selection(model, kept[best])


def counted(model, keep, penalty):
    """The model plus penalty · (Σx − keep)², x = (1 + s)/2.

    Parameters
    ----------
    model : IsingModel
    keep : int
    penalty : float
        In the model's units of energy, > 0.

    Returns
    -------
    IsingModel
        With dense couplings.
    """
    spins = model.num_spins
    keep = kept_count(keep, spins)
    if not (np.isfinite(penalty) and penalty > 0):
        raise ValueError(f"penalty: got {penalty!r}; allowed: finite and > 0")
    excess = 2 * keep - spins  # the sum of spins that is wanted
    couplings = dense_couplings(model) + penalty / 2
    np.fill_diagonal(couplings, 0.0)
    return IsingModel(
        model.h - penalty * excess / 2,
        couplings,
        model.offset + penalty * (spins + excess**2) / 4,
        model.variables,
    )


def enumerate_masks(model, keep):
    """The best of all masks of `keep` channels, exactly.

    Parameters
    ----------
    model : IsingModel
        At most 20 spins, +1 = kept.
    keep : int
        Channels kept, 0 to c.

    Returns
    -------
    Selection
        The first in binary order among equals.

    Notes
    -----
    O(c² · binomial(c, keep)).
    """
    channels = model.num_spins
    if channels > ENUMERATED:
        raise ValueError(
            f"model: got {channels} channels; allowed: at most {ENUMERATED}"
        )
    keep = kept_count(keep, channels)
    codes = np.arange(1 << channels, dtype=np.uint32)
    codes = codes[np.bitwise_count(codes) == keep]
    kept = (codes[:, None] >> np.arange(channels, dtype=np.uint32)) & 1  # (masks, c)
    best = np.argmin(model.energy(2 * kept.astype(np.int8) - 1))
    return selection(model, kept[best] == 1)


def dense_couplings(model):
    """A writable copy of J, (c, c) float64."""
    return model.J.toarray() if model.is_sparse else model.J.copy()
