"""Every sampler at a budget of values that each query may read."""


def with_samples(backend, **options):
    """A sampler that spends the whole budget on draws."""
    return lambda budget: (backend, {"samples": budget, **options})


def half_exact(budget):
    """The largest weights exactly with half of the budget, draws with the other."""
    return "topk_rest", {"k": budget // 2, "samples": budget - budget // 2}


SAMPLERS = {
    "multinomial": with_samples("multinomial"),
    "importance": with_samples("importance"),
    "stratified": with_samples("stratified"),
    "stratified, sorted values": with_samples("stratified", sort_values=True),
    "top-k and rest": half_exact,
    "control variate": with_samples("control_variate"),
}
