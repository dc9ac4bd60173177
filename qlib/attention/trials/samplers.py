"""Every sampler at a budget of values that each query may read."""

from qlib.attention.profile.cost import cost_of
from qlib.attention.sampling.adaptive import PILOT

PROBED = 64  # features of the Performer whose operations are counted


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


def performer(inputs):
    """A rival of the samplers, with the operations that multinomial draws need.

    Under causality it has up to a fifth more, at 512 keys: part of its operations does
    not grow with the features, and here all are taken to.

    Parameters
    ----------
    inputs : Inputs
        Products of matrices are counted on them, draws and sorting are not.

    Returns
    -------
    dict
        To be joined to `SAMPLERS`.
    """
    tensors = inputs.q[:1], inputs.k[:1], inputs.v[:1]

    def flops(backend, **options):
        settings = options | {"is_causal": inputs.is_causal}
        return cost_of(backend, *tensors, **settings).flops

    def way(budget):
        each = flops("performer", features=PROBED) / PROBED
        wanted = flops("multinomial", samples=budget) / each
        return "performer", {"features": 2 * max(1, round(wanted / 2))}

    return {"Performer": way}
