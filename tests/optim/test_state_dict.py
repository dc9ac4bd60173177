"""A saved swarm goes on to the last bit: state_dict, files, copies and pickles."""

import io
import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch

from qlib.optim import QIMAD

FAMILY = [
    (inner, num_agents)
    for inner in ("rmsprop", "adamw", "sgd")
    for num_agents in (1, 4)
]
over_the_family = pytest.mark.parametrize(("inner", "num_agents"), FAMILY)
over_sizes = pytest.mark.parametrize("num_agents", [1, 4])
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def _swarm(task, **settings):
    """A swarm with every force at work, and two groups."""
    first, *rest = task.model.parameters()
    groups = [{"params": rest}, {"params": [first], "lr": 0.02, "gamma": 0.1}]
    forces = {"spread": 0.1, "patience": 0, "eval_agents": None, "seed": 5}
    if settings.get("inner", "rmsprop") != "adamw":
        forces["momentum"] = 0.5
    if settings["num_agents"] > 1:
        forces["eval_agents"] = 3
    return QIMAD(groups, 0.05, **{**forces, **settings})


def _run(task, optimizer, steps=5):
    return [optimizer.step(task.closure(optimizer)).item() for _ in range(steps)]


def _through_a_file(value):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def _plain(value):
    """Whether a nested state holds only what torch.load(weights_only=True) reads."""
    if isinstance(value, dict):
        return type(value) is dict and all(
            isinstance(key, str | int) and _plain(part) for key, part in value.items()
        )
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return type(value) in (bool, int, float, str, type(None), torch.Tensor)


@over_the_family
@pytest.mark.parametrize("steps", [0, 3])
def test_a_state_has_torchs_structure(inner, num_agents, steps, task):
    made = task()
    optimizer = _swarm(made, inner=inner, num_agents=num_agents)
    _run(made, optimizer, steps)
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    assert [group["params"] for group in state["param_groups"]] == [[0, 1, 2], [3]]
    assert set(state["state"]) == (set(range(4)) if steps else set())
    assert [group["lr"] for group in state["param_groups"]] == [0.05, 0.02]
    assert ["swarm" in group for group in state["param_groups"]] == [True, False]
    assert _plain(state)
    parameters = [part for group in optimizer.param_groups for part in group["params"]]
    for number, kept in state["state"].items():
        assert kept["agents"].shape == (num_agents, *parameters[number].shape)
        assert kept["agents"].dtype == parameters[number].dtype


@over_the_family
@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("way", [deepcopy, _through_a_file])
def test_a_loaded_state_goes_on_to_the_last_bit(
    way, steps, inner, num_agents, task, identical
):
    made, other = task(), task()
    optimizer = _swarm(made, inner=inner, num_agents=num_agents)
    _run(made, optimizer, steps)
    saved = way(optimizer.state_dict())
    resumed = _swarm(other, inner=inner, num_agents=num_agents, seed=99)
    resumed.load_state_dict(saved)
    other.model.load_state_dict(made.model.state_dict())
    assert identical(optimizer.state_dict(), resumed.state_dict())
    assert _run(made, optimizer) == _run(other, resumed)
    assert identical(made.weights(), other.weights())
    assert identical(optimizer.state_dict(), resumed.state_dict())


def test_a_loaded_state_overrides_the_arguments(task, identical):
    made, other = task(), task()
    optimizer = _swarm(made, num_agents=4, topology="ring", cooling="linear")
    _run(made, optimizer)
    resumed = QIMAD(
        [
            {"params": list(other.model.parameters())[1:]},
            {"params": other.model[0].weight},
        ],
        num_agents=2,
        inner="sgd",
        best="current",
        load="mean",
        seed=0,
    )
    resumed.load_state_dict(_through_a_file(optimizer.state_dict()))
    other.model.load_state_dict(made.model.state_dict())
    assert resumed.num_agents == 4
    assert resumed.temperature == optimizer.temperature
    assert _run(made, optimizer) == _run(other, resumed)
    assert identical(optimizer.state_dict(), resumed.state_dict())


def test_a_loaded_state_is_not_tied_to_the_dictionary_it_came_from(task, identical):
    made, other = task(), task()
    optimizer, resumed = (_swarm(one, num_agents=4) for one in (made, other))
    _run(made, optimizer)
    saved = _through_a_file(optimizer.state_dict())
    groups = deepcopy(saved["param_groups"])
    resumed.load_state_dict(saved)
    _run(other, resumed)
    assert identical(saved["param_groups"], groups)


@over_sizes
@pytest.mark.parametrize(
    ("saved", "loaded"),
    [
        (torch.float32, torch.float64),
        (torch.float64, torch.float32),
        (torch.float32, torch.bfloat16),
    ],
)
def test_a_state_loaded_into_another_dtype_keeps_the_swarm(
    saved, loaded, num_agents, task, identical
):
    made, other = task(saved), task(loaded)
    optimizer, resumed = (_swarm(one, num_agents=num_agents) for one in (made, other))
    _run(made, optimizer)
    resumed.load_state_dict(_through_a_file(optimizer.state_dict()))
    other.model.load_state_dict(made.model.state_dict())
    before, after = optimizer.state_dict(), resumed.state_dict()
    assert identical(before["param_groups"], after["param_groups"])
    for number, kept in before["state"].items():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor):
                value = value.to(loaded)
            assert identical(value, after["state"][number][name])
    losses = _run(other, resumed)
    assert all(map(torch.isfinite, map(torch.tensor, losses)))
    assert all(weight.dtype == loaded for weight in other.weights())


@over_the_family
@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize("way", [deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_copy_with_its_model_goes_on_to_the_last_bit(
    way, scheduled, inner, num_agents, task, identical
):
    made, other = task(), task()
    optimizer = _swarm(made, inner=inner, num_agents=num_agents)
    if scheduled:
        torch.optim.lr_scheduler.StepLR(optimizer, 3)
    _run(made, optimizer)
    other.model, copied = way((made.model, optimizer))
    assert [p is q for p, q in _pairs(other.model, copied)] == [True] * 4
    assert repr(copied) == repr(optimizer)
    assert identical(list(copied.history), list(optimizer.history))
    assert copied.history.maxlen == optimizer.history.maxlen
    assert _run(made, optimizer) == _run(other, copied)
    assert identical(made.weights(), other.weights())
    assert identical(optimizer.state_dict(), copied.state_dict())
    assert identical(list(copied.history), list(optimizer.history))


def _pairs(model, optimizer):
    first, *rest = model.parameters()
    kept = [part for group in optimizer.param_groups for part in group["params"]]
    return zip([*rest, first], kept, strict=True)


def test_a_copy_shares_nothing_with_its_original(task, identical):
    made = task()
    optimizer = _swarm(made, num_agents=4)
    _run(made, optimizer)
    copied = deepcopy(optimizer)
    before = deepcopy(copied.state_dict()), len(copied.history)
    _run(made, optimizer)
    assert identical(before[0], copied.state_dict())
    assert len(copied.history) == before[1]


def test_hooks_of_state_dict_and_load_state_dict_fire_in_order(task):
    made, fired = task(), []
    optimizer = _swarm(made, num_agents=4)
    _run(made, optimizer)

    def note(name):
        return lambda *arguments: fired.append(name)

    optimizer.register_state_dict_pre_hook(note("pre"))
    optimizer.register_state_dict_post_hook(note("post"))
    optimizer.register_load_state_dict_pre_hook(note("load pre"))
    optimizer.register_load_state_dict_post_hook(note("load post"))
    saved = deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(saved)
    assert fired == ["pre", "post", "load pre", "load post"]


def test_a_hook_may_change_the_state_that_is_saved_or_loaded(task):
    made = task()
    optimizer = _swarm(made, num_agents=4)
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "note": "kept"})
    saved = deepcopy(optimizer.state_dict())
    assert saved["note"] == "kept"

    def slower(_, state):
        for group in state["param_groups"]:
            group["lr"] /= 2

    optimizer.register_load_state_dict_pre_hook(slower)
    optimizer.load_state_dict(saved)
    assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.01]


def test_numbers_of_numpy_are_saved_as_plain_ones(task):
    made = task()
    half, whole = np.float64(0.5), np.int64(2)
    names = ("lr", "alpha", "eps", "momentum", "weight_decay", "gamma", "pull")
    swarm = ("fidelity_power", "alpha_lr", "beta_lr", "smoothing", "min_temp")
    first, *rest = made.model.parameters()
    optimizer = QIMAD(
        [{"params": first}, {"params": rest, **dict.fromkeys(names, half)}],
        **dict.fromkeys((*names, *swarm, "spread"), half),
        **dict.fromkeys(("num_agents", "total_steps", "eval_agents"), whole),
        **dict.fromkeys(("patience", "seed"), whole),
    )
    optimizer.add_param_group({"params": torch.zeros(2), "lr": half})
    _run(made, optimizer, 1)
    assert _plain(optimizer.state_dict())
    adamw = QIMAD(made.model.parameters(), inner="adamw", betas=(half, half))
    assert _plain(adamw.state_dict())


def test_names_of_parameters_are_saved_and_not_asked_for(task):
    made, other = task(), task()
    named = QIMAD(made.model.named_parameters(), num_agents=4, seed=1)
    _run(made, named)
    saved = _through_a_file(named.state_dict())
    assert saved["param_groups"][0]["param_names"] == [
        name for name, _ in made.model.named_parameters()
    ]
    unnamed = QIMAD(other.model.parameters(), num_agents=4, seed=2)
    unnamed.load_state_dict(saved)
    other.model.load_state_dict(made.model.state_dict())
    assert _run(made, named) == _run(other, unnamed)


@needs_cuda
@over_sizes
def test_a_state_saved_on_cpu_goes_on_on_cuda_and_back(num_agents, task, identical):
    made, other = task(), task(device="cuda")
    optimizer, resumed = (_swarm(one, num_agents=num_agents) for one in (made, other))
    _run(made, optimizer)
    saved = _through_a_file(optimizer.state_dict())
    resumed.load_state_dict(saved)
    other.model.load_state_dict(made.model.state_dict())
    torch.testing.assert_close(
        torch.tensor(_run(made, optimizer)), torch.tensor(_run(other, resumed))
    )
    back = task()
    returned = _swarm(back, num_agents=num_agents)
    returned.load_state_dict(_through_a_file(resumed.state_dict()))
    first, second = (
        one.state_dict()["param_groups"][0]["swarm"] for one in (resumed, returned)
    )
    assert identical(first["rng_state"], second["rng_state"])
