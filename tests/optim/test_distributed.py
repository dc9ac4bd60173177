"""Two processes that divide the agents make the run that one process makes."""

import math
import os
import subprocess
import sys
from datetime import timedelta
from itertools import chain

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import mse_loss

from qlib.optim import QIMAD, VectorizedClosure, distributed

STEPS = 12
LIKE = [
    torch.empty(3, 2),
    torch.empty((), dtype=torch.bfloat16),
    torch.empty(0),
    torch.empty(5, dtype=torch.complex128),
    torch.empty(2, 2, dtype=torch.float64),
]


# --- three gloo processes on loopback, and groups of one and two among them -----------


WORLD = 3
SCENARIOS = {}  # name -> (function of a group, ranks of it)


def scenario(ranks):
    """Run a function once on each of the first ranks, in a group of these."""

    def register(function):
        SCENARIOS[function.__name__, ranks] = function
        return function

    return register


def _rank(folder, world, rank):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=100),
    )
    groups = [dist.new_group(list(range(ranks))) for ranks in range(1, world)]
    groups.append(dist.group.WORLD)
    for (name, ranks), function in SCENARIOS.items():
        if rank < ranks:
            torch.save(function(groups[ranks - 1]), f"{folder}/{name}-{ranks}-{rank}")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As in the ranks: products are summed in an order that depends on threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What a scenario returned, a list by rank."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-W", "error", __file__, str(folder), str(WORLD)]
    ranks = [
        subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, text=True)
        for rank in range(WORLD)
    ]
    errors = [process.communicate()[1] for process in ranks]
    assert not any(process.returncode for process in ranks), "\n".join(errors)

    def of(function, ranks):
        files = [f"{function.__name__}-{ranks}-{rank}" for rank in range(ranks)]
        return [torch.load(folder / file, weights_only=True) for file in files]

    return of


def _failure(function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except (RuntimeError, ValueError, TypeError) as error:
        return str(error)
    return None


# --- division and gathering -----------------------------------------------------------


def _row(position):
    """What a position sends: a tensor is absent where the position is its index."""
    return [
        None if j == position else torch.full_like(tensor, 1.5 + position)
        for j, tensor in enumerate(LIKE)
    ]


def _gathered(group, num):
    mine = distributed.share(num, group)
    losses = [math.pi * k if k != 1 else math.nan for k in mine]
    rows = [_row(k) for k in mine]
    return distributed.gather(losses, rows, num=num, like=LIKE, group=group)


@scenario(1)
@scenario(2)
@scenario(3)
def _gather_all(group):
    found = {}
    for num in (1, 5):
        losses, rows = _gathered(group, num)
        rows = [[None if t is None else t.clone() for t in row] for row in rows]
        found[num] = [distributed.share(num, group), [losses.clone(), rows]]
    return found


@pytest.mark.parametrize("size", [1, 2, 3])
def test_gathered_is_what_was_sent_bit_for_bit(answers, size):
    ranks = answers(_gather_all, size)
    for num in (1, 5):
        expected = _gathered(None, num)
        shares = [rank[num][0] for rank in ranks]
        assert sorted(chain(*shares)) == list(range(num))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        for _, (losses, rows) in (rank[num] for rank in ranks):
            assert losses.dtype == torch.float64
            assert torch.equal(losses.isnan(), expected[0].isnan())
            assert torch.equal(losses.nan_to_num(), expected[0].nan_to_num())
            for row, sent in zip(rows, expected[1], strict=True):
                for found, tensor in zip(row, sent, strict=True):
                    assert (found is None) == (tensor is None)
                    if found is not None:
                        assert found.dtype == tensor.dtype
                        assert torch.equal(found, tensor)


@scenario(2)
def _seeds(group):
    rank = dist.get_rank(group)
    return {
        "drawn": [distributed.common_seed(None, group) for _ in range(2)],
        "given": distributed.common_seed(2**63 - 1, group),
        "differing": _failure(distributed.common_seed, rank, group),
        "half": _failure(distributed.common_seed, None if rank else 7, group),
    }


def test_ranks_agree_on_a_seed(answers):
    first, second = answers(_seeds, 2)
    assert first == second
    assert first["drawn"][0] != first["drawn"][1]
    assert first["given"] == 2**63 - 1
    assert "seed: got [0, 1]" in first["differing"]
    assert "seed: got [7, None]" in first["half"]


def test_seed_without_a_group():
    assert distributed.common_seed(3, None) == 3
    drawn = {distributed.common_seed(None, None) for _ in range(3)}
    assert len(drawn) == 3


@scenario(2)
def _synchronised(group):
    values = torch.arange(6.0).reshape(2, 3).T + dist.get_rank(group)  # strided
    distributed.synchronise([values], group)
    return values


def test_every_rank_gets_the_values_of_rank_0(answers):
    for values in answers(_synchronised, 2):
        assert torch.equal(values, torch.arange(6.0).reshape(2, 3).T)


@scenario(3)
def _in_a_group_without_rank_2(group):
    others = dist.new_group([0, 1])
    return _failure(distributed.check_group, others)


def test_a_group_is_refused_where_this_process_is_no_member(answers):
    *members, outsider = answers(_in_a_group_without_rank_2, 3)
    assert members == [None, None]
    assert outsider.startswith("process_group: got ")


@pytest.mark.parametrize("group", [2, "gloo", object()])
def test_what_is_no_group_is_refused_by_name(group):
    with pytest.raises(ValueError, match=r"process_group: got .*; allowed: None or"):
        distributed.check_group(group)
    with pytest.raises(ValueError, match="process_group"):
        QIMAD([torch.zeros(2, requires_grad=True)], process_group=group)


# --- whole runs -----------------------------------------------------------------------


def _problem():
    """A network that ends in a layer without gradient, and its closure."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(20, 4, generator=generator)
    targets = torch.sin(inputs.sum(1, keepdim=True))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 1))
    return model, inputs, targets


SETTINGS = {
    "odd": {"num_agents": 5},
    "fewer evaluated": {"num_agents": 5, "eval_agents": 3, "patience": 0},
    "one evaluated": {"num_agents": 3, "eval_agents": 1},
    "adamw": {"num_agents": 4, "inner": "adamw", "topology": "random"},
    "alltime": {"num_agents": 3, "best": "alltime", "load": "current"},
    "mean": {"num_agents": 3, "load": "mean", "topology": "ring"},
    "one agent": {"num_agents": 1},
    "jumps": {"num_agents": 4, "patience": 0, "smoothing": 0.0},
}


def _flat(state, prefix=""):
    """The leaves of nested dicts and lists, by path."""
    if isinstance(state, dict):
        state = state.items()
    elif isinstance(state, (list, tuple)):
        state = enumerate(state)
    else:
        return {prefix: state}
    return {
        path: leaf
        for key, value in state
        for path, leaf in _flat(value, f"{prefix}/{key}").items()
    }


def _trained(group, poisoned=False, parts=False, **settings):
    model, inputs, targets = _problem()
    settings = {"lr": 0.05, "spread": 0.3, "seed": 11, "total_steps": STEPS} | settings
    swarm = QIMAD(model.parameters(), process_group=group, **settings)
    data = inputs, targets
    cut = VectorizedClosure(model, mse_loss, data, mode="loop", same_batch=False)
    losses = []
    for step in range(STEPS):

        def closure(step=step):
            model.zero_grad()
            loss = ((model(inputs) - targets) ** 2).mean()
            first = model[0].weight
            poor = poisoned and step in (4, 7)
            poor = poor and bool(first.detach().sum() > swarm.mean()[0].sum())
            if poor and step == 4:
                loss = loss * math.nan
            loss.backward()
            if poor and step == 7:
                first.grad[0, 0] = math.inf
            return loss

        losses.append(swarm.step(cut if parts else closure).item())
    return {
        "losses": losses,
        "model": dict(model.state_dict()),
        "state": _flat(swarm.state_dict()),
        "jumps": sum(len(record["jumps"]) for record in swarm.history),
        "reseeded": sum(len(record["reseeded"]) for record in swarm.history),
    }


def _assert_same(found, expected):
    assert found["losses"] == expected["losses"]
    assert found["jumps"] == expected["jumps"]
    assert found["reseeded"] == expected["reseeded"]
    for part in ("model", "state"):
        assert found[part].keys() == expected[part].keys()
        for path, leaf in expected[part].items():
            if isinstance(leaf, torch.Tensor):
                same = torch.allclose(
                    found[part][path], leaf, rtol=0, atol=0, equal_nan=True
                )
                assert same, path
            else:
                assert found[part][path] == leaf or leaf != leaf, path


@scenario(1)
@scenario(2)
def _all_settings(group):
    runs = {name: _trained(group, **settings) for name, settings in SETTINGS.items()}
    runs["poisoned"] = _trained(group, poisoned=True, num_agents=5)
    runs["parts"] = _trained(group, parts=True, num_agents=5, eval_agents=4)
    return runs


def test_two_ranks_make_the_run_of_one_process_bitwise(answers):
    expected = _all_settings(None)
    for found in answers(_all_settings, 2):
        for name, run in expected.items():
            _assert_same(found[name], run)
    assert expected["jumps"]["jumps"] > 0
    assert expected["fewer evaluated"]["jumps"] > 0
    assert expected["poisoned"]["reseeded"] > 0
    weights = expected["poisoned"]["model"].values()
    assert all(tensor.isfinite().all() for tensor in weights)


def test_more_ranks_than_evaluations(answers):
    expected = _trained(None, **SETTINGS["fewer evaluated"] | {"eval_agents": 2})
    for found in answers(_two_evaluated, 3):
        _assert_same(found, expected)


@scenario(3)
def _two_evaluated(group):
    return _trained(group, **SETTINGS["fewer evaluated"] | {"eval_agents": 2})


def test_a_group_of_one_rank_is_no_group(answers):
    (found,) = answers(_all_settings, 1)
    for name, run in _all_settings(None).items():
        _assert_same(found[name], run)


@scenario(2)
def _unseeded(group):
    torch.manual_seed(dist.get_rank(group))
    return [_trained(group, seed=None, num_agents=3) for _ in range(2)]


def test_ranks_without_a_seed_agree_and_two_swarms_differ(answers):
    first, second = answers(_unseeded, 2)
    for here, there in zip(first, second, strict=True):
        _assert_same(here, there)
    assert first[0]["losses"] != first[1]["losses"]


@scenario(2)
def _rank_1_starts_elsewhere(group):
    model = _problem()[0]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += dist.get_rank(group)
    QIMAD(model.parameters(), num_agents=2, process_group=group)
    return dict(model.state_dict())


def test_all_ranks_start_at_the_weights_of_rank_0(answers):
    expected = _problem()[0].state_dict()
    for found in answers(_rank_1_starts_elsewhere, 2):
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@scenario(2)
def _one_rank_fails(group):
    runs = {"load": "best"}, {"load": "mean"}, {"best": "alltime"}
    return [_failing(group, **settings) for settings in runs]


def _failing(group, **settings):
    model, inputs, targets = _problem()
    swarm = QIMAD(model.parameters(), seed=0, process_group=group, **settings)

    def closure(broken=False):
        model.zero_grad()
        if broken:
            raise ValueError("no data left")
        loss = ((model(inputs) - targets) ** 2).mean()
        loss.backward()
        return loss

    swarm.step(closure)
    before = _flat(swarm.state_dict()), model[0].weight.detach().clone()
    broken = dist.get_rank(group) == 1
    message = _failure(swarm.step, lambda: closure(broken))
    after = _flat(swarm.state_dict()), model[0].weight.detach().clone()
    same = torch.equal(before[1], after[1]) and all(
        torch.equal(leaf, after[0][path])
        for path, leaf in before[0].items()
        if isinstance(leaf, torch.Tensor) and not leaf.isnan().any()
    )
    loss = swarm.step(closure).item()
    slopes = [part.grad for part in model.parameters() if part.grad is not None]
    excess = sum(slope.untyped_storage().nbytes() - slope.nbytes for slope in slopes)
    return message, same, loss, excess


def test_a_closure_failing_on_one_rank_stops_the_others_and_changes_nothing(answers):
    for sound, broken in zip(*answers(_one_rank_fails, 2), strict=True):
        assert sound[0] == "the closure failed on rank 1"
        assert broken[0] == "no data left"
        assert sound[1]
        assert broken[1]
        assert sound[2] == broken[2]
        assert sound[3] == broken[3] == 0  # no memory of the other agents' gradients


if __name__ == "__main__":
    _rank(sys.argv[1], *map(int, sys.argv[2:]))
