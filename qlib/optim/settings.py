"""What `QIMAD` is constructed with, checked by name."""

import operator
from math import inf

import torch

from qlib.arguments import number_between, one_of, positive_integer
from qlib.optim.inner import INNERS
from qlib.optim.swarm import WEIGHTS, temperature
from qlib.optim.topology import TOPOLOGIES

BEST = ("ema", "current", "alltime")
LOAD = ("best", "mean", "current")
TORCH = {"alpha": 0.99, "betas": (0.9, 0.999), "eps": 1e-8, "momentum": 0.0}
"""Defaults of torch for the hyperparameters that only some inner optimisers have."""


def check_swarm(given):
    """The settings of the swarm as plain values of Python.

    Parameters
    ----------
    given : dict
        The keyword arguments of `QIMAD` that are not of a group.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        By the argument's name.
    """
    num_agents = positive_integer("num_agents", given["num_agents"])
    due = given["eval_agents"]
    due = num_agents if due is None else positive_integer("eval_agents", due)
    if due > num_agents:
        raise ValueError(f"eval_agents: got {due}; allowed: 1 to {num_agents}, None")
    temperature(given["cooling"], 0.0, given["min_temp"])
    return {
        "num_agents": num_agents,
        "inner": one_of("inner", given["inner"], tuple(INNERS)),
        "weights": one_of("weights", given["weights"], WEIGHTS),
        "topology": one_of("topology", given["topology"], TOPOLOGIES),
        "cooling": given["cooling"],
        "best": one_of("best", given["best"], BEST),
        "load": one_of("load", given["load"], LOAD),
        "tunnelling": _truth("tunnelling", given["tunnelling"]),
        "total_steps": positive_integer("total_steps", given["total_steps"]),
        "eval_agents": due,
        "smoothing": _below_one("smoothing", given["smoothing"]),
        "min_temp": float(given["min_temp"]),
        "patience": _integer("patience", given["patience"], inf),
        **{
            name: number_between(name, given[name], 0.0, inf)
            for name in ("fidelity_power", "alpha_lr", "beta_lr", "spread")
        },
    }


def check_defaults(inner, given):
    """The defaults of a group: what the inner optimiser has, and the swarm's forces.

    Raises
    ------
    ValueError
        Also for a hyperparameter set that the inner optimiser does not have.
    """
    own = INNERS[inner].defaults
    for name, usual in TORCH.items():
        if name not in own:
            check_group({name: given[name]})
            if given[name] != usual:
                raise ValueError(
                    f"{name}: got {given[name]!r} with inner={inner!r}, which has no "
                    f"{name}; allowed: {usual!r}"
                )
    defaults = {name: given[name] for name in ("lr", *own, "maximize", "gamma", "pull")}
    if defaults["weight_decay"] is None:
        defaults["weight_decay"] = own["weight_decay"]
    return check_group(defaults)


def check_group(group):
    """A parameter group, its hyperparameters refused by name or as plain numbers.

    Tensors stay, as schedulers fill them; other numbers, as those of numpy, become
    Python's, so that ``torch.load(weights_only=True)`` reads them.
    """
    group = dict(group)
    for name in ("lr", "eps", "momentum", "weight_decay", "gamma", "pull"):
        if name in group:
            value = group[name]
            if isinstance(value, torch.Tensor) and value.numel() == 1:
                value = value.item()
            elif isinstance(value, str | torch.Tensor):
                value = None
            if value is None:
                raise ValueError(f"{name}: got {group[name]!r}; allowed: [0, inf)")
            number_between(name, value, 0.0, inf)
            if type(group[name]) not in (int, float, torch.Tensor):
                group[name] = float(value)
    if "alpha" in group:
        group["alpha"] = number_between("alpha", group["alpha"], 0.0, 1.0)
    if "betas" in group:
        betas = group["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ValueError(f"betas: got {betas!r}; allowed: two numbers in [0, 1)")
        group["betas"] = tuple(_below_one("betas", beta) for beta in betas)
    if "maximize" in group:
        _truth("maximize", group["maximize"])
    return group


def check_parameter(parameter):
    """Refuse a sparse parameter."""
    if parameter.layout != torch.strided:
        raise ValueError(
            f"params: got a tensor of layout {parameter.layout}; allowed: strided"
        )


def check_start(start, parameters, num_agents):
    """The given points, a list of tensors for each agent.

    Parameters
    ----------
    start : sequence
        For each agent a sequence of tensors as `parameters`; a tensor alone will do
        where there is one parameter.
    parameters : list of tensors
    num_agents : int

    Raises
    ------
    ValueError
        If a number of points, of tensors, a shape or a value does not fit.
    """
    points = start if isinstance(start, list | tuple | torch.Tensor) else [start]
    if len(points) != num_agents:
        raise ValueError(
            f"start: got {len(points)} points; allowed: {num_agents}, one an agent"
        )
    checked = []
    for index, point in enumerate(points):
        alone = isinstance(point, torch.Tensor) and len(parameters) == 1
        tensors = [point] if alone else _tensors(point)
        shapes = [tuple(tensor.shape) for tensor in tensors]
        wanted = [tuple(parameter.shape) for parameter in parameters]
        if shapes != wanted:
            raise ValueError(
                f"start: got shapes {shapes} for agent {index}; allowed: {wanted}"
            )
        if not all(tensor.isfinite().all() for tensor in tensors):
            raise ValueError(
                f"start: got a value that is not finite for agent {index}; allowed: "
                "finite"
            )
        checked.append([tensor.detach() for tensor in tensors])
    return checked


def _tensors(point):
    try:
        return [torch.as_tensor(tensor) for tensor in point]
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"start: got {type(point).__name__} for a point; allowed: a sequence of "
            "tensors"
        ) from error


def check_history_size(value):
    """`value` as an int >= 0."""
    return _integer("history_size", value, inf)


def check_seed(seed):
    """`seed` as an int in [0, 2**63), or None."""
    return None if seed is None else _integer("seed", seed, 2**63 - 1)


def _integer(name, value, high):
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if not 0 <= number <= high or isinstance(value, bool):
        raise ValueError(f"{name}: got {value!r}; allowed: an integer in [0, {high}]")
    return number


def _below_one(name, value):
    number_between(name, value, 0.0, 1.0)
    if float(value) == 1.0:
        raise ValueError(f"{name}: got {value!r}; allowed: [0, 1)")
    return float(value)


def _truth(name, value):
    if not isinstance(value, bool):
        raise ValueError(f"{name}: got {value!r}; allowed: True, False")
    return value
