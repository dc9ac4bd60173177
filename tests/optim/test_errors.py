"""Wrong arguments are refused by name, and nothing has happened then."""

import inspect
import math

import pytest
import torch

from qlib.optim import QIMAD

NAN, INF = math.nan, math.inf
WRONG = {
    "lr": [-1e-3, NAN, INF, "fast", None, torch.tensor([1e-3, 1e-3])],
    "num_agents": [0, -1, 1.5, True, "4", None],
    "inner": ["adam", "RMSPROP", None, ["sgd"]],
    "alpha": [-0.1, 1.1, NAN],
    "betas": [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, NAN), (0.9,), 0.9],
    "eps": [-1e-8, NAN, INF],
    "momentum": [-0.5, NAN, INF],
    "weight_decay": [-1.0, NAN, INF],
    "gamma": [-0.05, NAN, INF],
    "pull": [-0.2, NAN, INF],
    "weights": ["softmax", None, 1],
    "fidelity_power": [-1, NAN, INF],
    "topology": ["star", None, ["ring"]],
    "alpha_lr": [-0.03, NAN, INF],
    "beta_lr": [-0.03, NAN, INF],
    "patience": [-1, 2.5, NAN, "long"],
    "smoothing": [-0.1, 1.0, NAN],
    "cooling": ["step", 1, ["cosine"]],
    "total_steps": [0, -5, 1.5, True, None],
    "min_temp": [-0.1, 1.1, NAN],
    "eval_agents": [0, 5, -1, 1.5, True],
    "spread": [-0.1, NAN, INF],
    "best": ["worst", None, ["ema"]],
    "load": ["worst", None, ["best"]],
    "history_size": [-1, 1.5, "all"],
    "seed": [1.5, "one"],
}
OF_A_GROUP = ["lr", "alpha", "betas", "eps", "momentum", "weight_decay"]
OF_A_GROUP += ["gamma", "pull"]


def _weight(*shape):
    return torch.zeros(shape or (2, 3), requires_grad=True)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]]
)
def test_a_wrong_argument_is_refused_by_name(name, value):
    with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
        QIMAD([_weight()], **{"num_agents": 4, name: value})


def test_the_table_of_wrong_arguments_leaves_out_only_what_has_its_own_test():
    names = set(inspect.signature(QIMAD).parameters) - set(WRONG)
    own = {"params", "start", "process_group", "maximize", "tunnelling"}
    assert names == own


def _inner_with(name):
    return "adamw" if name == "betas" else "rmsprop"


@pytest.mark.parametrize("name", OF_A_GROUP)
def test_a_wrong_argument_of_a_group_is_refused_by_name(name):
    for value in WRONG[name]:
        groups = [{"params": [_weight()]}, {"params": [_weight()], name: value}]
        with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
            QIMAD(groups, inner=_inner_with(name))


@pytest.mark.parametrize("name", OF_A_GROUP)
def test_a_refused_group_is_not_added(name, snapshot, identical):
    optimizer = QIMAD([_weight()], inner=_inner_with(name))
    before = snapshot(optimizer)
    with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
        optimizer.add_param_group({"params": [_weight()], name: WRONG[name][0]})
    assert len(optimizer.param_groups) == 1
    assert identical(before, snapshot(optimizer))


@pytest.mark.parametrize("name", ["learning_rate", "centered", "nesterov"])
def test_an_unknown_argument_is_refused_by_name(name):
    with pytest.raises(TypeError, match=name):
        QIMAD([_weight()], **{name: 1})


@pytest.mark.parametrize(
    "setting",
    [
        {"lr": 0.0},
        {"alpha": 0.0},
        {"eps": 0.0},
        {"gamma": 0.0, "pull": 0.0},
        {"fidelity_power": 0},
        {"min_temp": 1.0},
        {"smoothing": 0.0},
        {"eval_agents": 4},
        {"betas": (0.0, 0.0), "inner": "adamw"},
        {"betas": [0.9, 0.99], "inner": "adamw"},
        {"history_size": 1},
        {"cooling": None},
        {"alpha_lr": 0.0, "beta_lr": 0.0},
        {"lr": torch.tensor(0.01)},
    ],
)
def test_the_ends_of_the_allowed_ranges_are_allowed(setting):
    weight = _weight()

    def closure():
        weight.grad = None
        loss = (weight - 1).square().sum()
        loss.backward()
        return loss

    optimizer = QIMAD([weight], num_agents=4, seed=0, **setting)
    for _ in range(2):
        optimizer.step(closure)
    assert weight.isfinite().all()


def test_no_parameter_is_refused():
    for nothing in ([], iter([])):
        with pytest.raises(ValueError, match="empty parameter list"):
            QIMAD(nothing)


def test_one_tensor_is_no_iterable_of_parameters():
    with pytest.raises(TypeError, match="params"):
        QIMAD(_weight())


def test_parameters_of_a_set_have_no_order():
    with pytest.raises(TypeError, match="ordered"):
        QIMAD([{"params": {_weight(), _weight()}}])


@pytest.mark.parametrize("stranger", [1.0, "weight", None, [1.0]])
def test_what_is_no_tensor_is_refused(stranger):
    with pytest.raises(TypeError, match=r"Tensor|tensor"):
        QIMAD([_weight(), stranger])


def test_a_parameter_twice_in_a_group_is_refused():
    weight = _weight()
    with pytest.raises((ValueError, UserWarning), match="duplicate"):
        QIMAD([weight, weight])


def test_a_parameter_in_two_groups_is_refused():
    weight = _weight()
    with pytest.raises(ValueError, match="more than one parameter group"):
        QIMAD([{"params": weight}, {"params": weight}])
    optimizer = QIMAD([weight])
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [_weight(), weight]})
    assert len(optimizer.param_groups) == 1


def test_the_result_of_a_computation_is_no_parameter():
    with pytest.raises(ValueError, match="non-leaf"):
        QIMAD([_weight() * 2])


@pytest.mark.parametrize("layout", ["coo", "csr"])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_a_sparse_parameter_is_refused_at_construction(layout):
    eye = torch.eye(3)
    sparse = eye.to_sparse() if layout == "coo" else eye.to_sparse_csr()
    for groups in ([_weight(), sparse], [{"params": [_weight(), sparse]}]):
        with pytest.raises((ValueError, TypeError), match=r"(?i)sparse"):
            QIMAD(groups)
    optimizer = QIMAD([_weight()])
    with pytest.raises((ValueError, TypeError), match=r"(?i)sparse"):
        optimizer.add_param_group({"params": [sparse]})
    assert len(optimizer.param_groups) == 1


def test_names_are_given_for_all_parameters_or_for_none():
    with pytest.raises(ValueError, match="with/without names"):
        QIMAD([("weight", _weight()), _weight()])
    with pytest.raises(ValueError, match="with/without names"):
        QIMAD([{"params": [_weight()]}, {"params": [("bias", _weight())]}])


def _points(num_agents, *shapes):
    return [[torch.zeros(shape) for shape in shapes] for _ in range(num_agents)]


@pytest.mark.parametrize(
    "start",
    [
        _points(3, (2, 3), (4,)),  # too few agents
        _points(5, (2, 3), (4,)),  # too many agents
        _points(4, (2, 3)),  # a tensor too few
        _points(4, (2, 3), (4,), (1,)),  # a tensor too many
        _points(4, (3, 2), (4,)),  # wrong shape
        _points(4, (2, 3), (1,)),  # a shape that would broadcast
        [*_points(3, (2, 3), (4,)), [torch.zeros(2, 3), torch.full((4,), NAN)]],
        [*_points(3, (2, 3), (4,)), [torch.zeros(2, 3), torch.full((4,), -INF)]],
        [],
        4,
        "zeros",
    ],
)
def test_starting_points_that_do_not_fit_are_refused_by_name(start):
    weights = [_weight(2, 3), _weight(4)]
    with pytest.raises((ValueError, TypeError), match=r"\bstart\b"):
        QIMAD(weights, num_agents=4, start=start)
    assert all(torch.equal(weight, torch.zeros_like(weight)) for weight in weights)


def test_starting_points_leave_no_room_for_spread():
    with pytest.raises(ValueError, match=r"\bspread\b.*\bstart\b"):
        QIMAD([_weight(2)], num_agents=4, spread=0.1, start=_points(4, (2,)))


@pytest.mark.parametrize(
    ("inner", "foreign"),
    [
        ("rmsprop", {"betas": (0.8, 0.9)}),
        ("adamw", {"alpha": 0.9}),
        ("adamw", {"momentum": 0.9}),
        ("sgd", {"alpha": 0.9}),
        ("sgd", {"betas": (0.8, 0.9)}),
        ("sgd", {"eps": 1e-6}),
    ],
)
def test_a_hyperparameter_of_another_inner_optimiser_is_refused(inner, foreign):
    with pytest.raises(ValueError, match=rf"\b{next(iter(foreign))}\b.*{inner}"):
        QIMAD([_weight()], inner=inner, **foreign)


def test_a_refused_construction_touches_neither_weights_nor_random_state():
    weight = _weight()
    weight.grad = torch.ones_like(weight)
    random_state = torch.get_rng_state()
    for setting in ({"num_agents": 0}, {"gamma": NAN}, {"topology": "star"}):
        with pytest.raises(ValueError, match="got"):
            QIMAD([weight], **setting)
    assert torch.equal(weight, torch.zeros(2, 3))
    assert torch.equal(weight.grad, torch.ones(2, 3))
    assert torch.equal(torch.get_rng_state(), random_state)


def test_an_ensemble_of_another_model_is_refused_by_name():
    optimizer = QIMAD(torch.nn.Linear(2, 1).parameters())
    with pytest.raises(ValueError, match="model: got Linear without"):
        optimizer.as_ensemble(torch.nn.Linear(2, 1))
