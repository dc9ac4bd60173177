"""Places in [0, S) and the keys whose share of the expected counts they hit."""

import torch


def independent_places(shape, samples, *, like, generator):
    """Places drawn each for itself, uniform in [0, `samples`).

    Parameters
    ----------
    shape : tuple of int
        (batch, head, query).
    samples : int
    like : tensor
        Of the dtype and device wanted.
    generator : torch.Generator or None
        None is torch's own.

    Returns
    -------
    (batch, head, query, sample) tensor
        `samples` random numbers a query, whatever the content.
    """
    return samples * _uniform((*shape, samples), like, generator)


def systematic_places(shape, samples, *, like, generator):
    """One place in each of the strata [s, s + 1), all at one random offset a query.

    Systematic sampling (Madow 1949). Every place is uniform in its stratum, so a mean
    over places is unbiased, and a key of expected count m is drawn either floor(m) or
    ceil(m) times, which no draws with independent offsets promise.

    Parameters
    ----------
    shape : tuple of int
        (batch, head, query).
    samples : int
    like : tensor
    generator : torch.Generator or None

    Returns
    -------
    (batch, head, query, sample) tensor
        One random number a query, whatever the content.
    """
    strata = torch.arange(samples, dtype=like.dtype, device=like.device)
    return strata + _uniform((*shape, 1), like, generator)  # (b, h, query, sample)


def _uniform(shape, like, generator):
    return torch.rand(shape, dtype=like.dtype, device=like.device, generator=generator)


def inverse_cdf(counts, places, order=None):
    """The key in whose interval of the cumulated expected counts each place falls.

    Parameters
    ----------
    counts : (batch, head, query, key) tensor
        Expected draws of each key, >= 0; rows sum to a whole number up to rounding,
        0 where a row has no key to draw.
    places : (batch, head, query, sample) tensor
        Increasing or not, in [0, samples).
    order : (batch, head, 1, key) integer tensor, optional
        The order in which the keys are cumulated; their own by default.

    Returns
    -------
    keys : (batch, head, query, sample) integer tensor
        Never a key of count 0. Rows with NaN give some key.
    void : (batch, head, query, sample) bool tensor
        Places beyond the sum of the row: no draw. Their key is that of place 0.
    """
    if order is not None:
        counts = counts.gather(-1, order.expand_as(counts))
    edges = counts.cumsum(-1)  # (batch, head, query, key)
    total = edges[..., -1:]
    void = places >= total.round()
    inside = torch.where(void, places[..., :1], places)
    inside = inside.minimum(torch.nextafter(total, torch.zeros_like(total)))
    keys = torch.searchsorted(edges, inside.contiguous(), right=True)
    keys = keys.clamp_(max=counts.shape[-1] - 1)
    if order is not None:
        keys = order.expand_as(counts).gather(-1, keys)
    return keys, void
