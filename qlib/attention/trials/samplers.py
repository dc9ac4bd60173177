"""Every sampler at a budget of values that each query may read."""

from qlib.attention.sampling.adaptive import PILOT


def with_samples(backend, **options):
    """A sampler that spends the whole budget on draws."""
    return lambda budget: (backend, {"samples": budget, **options})


def adaptive(budget):
    """Draws as the target asks for, with the pilot's no more than the budget."""
    return "adaptive", {"max_samples": max(1, budget - PILOT)}


SAMPLERS = {
    # name in `qlib.workbook.plotting.METHODS`: backend and options at a budget
    "multinomial": with_samples("multinomial"),
    "importance": with_samples("importance"),
    "stratified": with_samples("stratified"),
    "stratified, unsorted": with_samples("stratified", sort_values=False),
    "top-k and rest": with_samples("topk_rest"),
    "adaptive": adaptive,
    "control variate": with_samples("control_variate"),
}


def performer(length):
    """A rival of the samplers, with as many operations as they need at a budget.

    A sampler of n keys that reads S values takes 2 d (n + S) operations a query, its
    draws not counted; m features of queries, keys and values take 8 d m, values being
    of dimension d too. So m is a quarter of n + S, made even.

    Parameters
    ----------
    length : int
        n.

    Returns
    -------
    dict
        To be joined to `SAMPLERS`.
    """

    def way(budget):
        return "performer", {"features": 2 * max(1, round((length + budget) / 8))}

    return {"Performer": way}
