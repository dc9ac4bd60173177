"""Budgets are equal, readouts are what they say, seconds are the clock's."""

import dataclasses
from itertools import count

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from qlib.data import load_images
from qlib.optim.trials import contrasts, networks, tasks

ADAMW = {"make": torch.optim.AdamW, "lr": 3e-3, "weight_decay": 1e-2}
SWARM = {"lr": 3e-3, "gamma": 0.05, "pull": 0.05, "same_batch": True}


@pytest.fixture(scope="module")
def task():
    return tasks.digits(hidden=16)


def ticking():
    """A clock that moves by one second each time it is read."""
    tick = count()
    return lambda: float(next(tick))


def counted(task, calls):
    """The task with a network that counts its passes with gradients."""

    def build():
        model = task.build()

        def note(module, inputs):
            calls.append(torch.is_grad_enabled())

        model.register_forward_pre_hook(note)
        return model

    return dataclasses.replace(task, build=build, mode="loop")


def test_training_and_validation_images_are_the_data_set_divided(task):
    parts = [part.inputs.sum(1) for part in (task.train, task.validation)]
    pixels = load_images("digits").train_x.reshape(-1, 64) / 255 - 0.5
    together = np.sort(torch.cat(parts).numpy())
    np.testing.assert_allclose(together, np.sort(pixels.sum(1)), atol=1e-4)
    share = len(parts[1]) / len(together)
    assert share == pytest.approx(tasks.HELD, abs=1 / len(together))


def test_an_epoch_draws_no_image_twice(task):
    inputs = task.train.inputs + torch.arange(len(task.train.inputs))[:, None]
    marked = dataclasses.replace(task, train=tasks.Part(inputs, task.train.labels))
    stream = marked.batches(0)
    whole = len(task.train.labels) // task.batch
    seen = torch.cat([next(stream)[0] for _ in range(whole)])
    assert len(torch.unique(seen, dim=0)) == whole * task.batch


@pytest.mark.parametrize("networks_", [1, 4])
@pytest.mark.parametrize("part", ["classical", "swarm"])
def test_every_training_takes_the_gradients_it_was_given(task, part, networks_):
    calls = []
    if part == "classical":
        networks.classical(
            counted(task, calls),
            ADAMW,
            gradients=24,
            seed=0,
            clock=ticking(),
            networks=networks_,
        )
    else:
        settings = SWARM | {"num_agents": 2 * networks_, "eval_agents": networks_}
        networks.swarm(
            counted(task, calls), settings, gradients=24, seed=0, clock=ticking()
        )
    assert sum(calls) == 24


def test_an_ensemble_averages_probabilities(task):
    ways = {"gradients": 8, "seed": 1, "clock": ticking()}
    found = networks.swarm(task, SWARM, **ways)
    models, (inputs, labels) = found.models["ensemble"], task.test
    with torch.no_grad():
        mean = torch.stack([model(inputs).softmax(1) for model in models]).mean(0)
    score = found.score("ensemble", task.test)
    expected = cross_entropy(mean.log(), labels).item()
    assert score.loss == pytest.approx(expected, rel=1e-5)
    wrong = (mean.argmax(1) != labels).double().mean().item()
    assert score.error == pytest.approx(wrong)
    assert len(models) == networks.AGENTS


def test_the_mean_network_holds_the_mean_weights(task):
    found = networks.swarm(task, SWARM, gradients=8, seed=1, clock=ticking())
    (mean,) = found.models["mean"]
    agents = [list(model.parameters()) for model in found.models["ensemble"]]
    for ours, *theirs in zip(mean.parameters(), *agents, strict=True):
        torch.testing.assert_close(ours.data, torch.stack(theirs).mean(0))


def test_a_swarm_of_one_trains_as_rmsprop_does(task):
    settings = {"lr": 1e-3, "weight_decay": 1e-4}
    ways = {"gradients": 20, "seed": 3, "clock": ticking()}
    rmsprop = settings | {"make": torch.optim.RMSprop}
    theirs = networks.classical(task, rmsprop, **ways).score("model", task.test)
    alone = dataclasses.replace(task, mode="loop")
    ours = networks.swarm(alone, settings | {"num_agents": 1}, **ways)
    assert ours.score("best", task.test).loss == pytest.approx(theirs.loss, rel=1e-4)


def test_training_leaves_the_global_generator_alone(task):
    before = torch.random.get_rng_state()
    networks.swarm(task, SWARM, gradients=8, seed=1, clock=ticking())
    networks.classical(task, ADAMW, gradients=4, seed=1, clock=ticking())
    assert torch.equal(before, torch.random.get_rng_state())


def test_readouts_of_one_swarm_share_its_training(task, monkeypatch):
    trainings = []
    train = networks.swarm

    def noted(*args, **rest):
        if rest["gradients"] == 20:
            trainings.append(rest["seed"])
        return train(*args, **rest)

    tuned = {
        "QIMAD": networks.Tuned(noted, SWARM, "best"),
        "QIMAD mean": networks.Tuned(noted, SWARM, "mean"),
    }
    found = networks.compare(task, tuned, gradients=20, seeds=range(2), clock=ticking())
    assert trainings == [0, 1]
    assert (found["QIMAD"].seconds == 1).all()
    assert found["QIMAD"].loss.shape == (2,)


def test_equal_seconds_buy_gradients_in_proportion():
    def took(*seconds):
        return networks.Outcomes(np.ones(3), np.ones(3), np.array(seconds))

    found = {"QIMAD": took(3.0, 3.0, 90.0), "AdamW": took(2.0, 2.0, 2.0)}
    assert contrasts.equal_seconds(found, "QIMAD", "AdamW", 100) == 150
    assert contrasts.equal_seconds(found, "AdamW", "QIMAD", 100) == 67


def test_the_rival_is_who_did_best_on_validation_images():
    tuned = {
        name: networks.Tuned(networks.classical, {}, "model", loss)
        for name, loss in (("AdamW", 0.3), ("RMSprop", 0.1), ("SGD", 0.2))
    }
    assert networks.rival(tuned, networks.SINGLE) == "RMSprop"
    assert networks.rival(tuned, ("AdamW", "SGD")) == "SGD"


def test_a_network_that_ran_away_counts_as_guessing(task):
    model = task.model(0)
    with torch.no_grad():
        model[0].weight.fill_(torch.nan)
    found = networks.Trained({"model": [model]}, 0.0, []).score("model", task.test)
    assert found == pytest.approx((np.log(10), 0.9))


def test_a_task_is_learnt_once_errors_are_three_quarters_of_guessing():
    def erred(error):
        return networks.Outcomes(np.ones(2), np.full(2, error), np.ones(2))

    assert contrasts.learnt({"a": erred(0.9), "b": erred(0.65)})
    assert not contrasts.learnt({"a": erred(0.9), "b": erred(0.7)})


def test_the_order_of_methods_rotates_after_short_trainings(task):
    order = []

    def noted(task, settings, *, gradients, seed, clock):
        order.append((settings["name"], seed, gradients))
        model = {"model": [task.model(0)]}
        return networks.Trained(model, 1.0, [])

    tuned = {name: networks.Tuned(noted, {"name": name}, "model") for name in "abc"}
    networks.compare(task, tuned, gradients=99, seeds=[4, 5], clock=ticking())
    assert all(gradients < 99 for *_, gradients in order[:3])
    assert [name for name, *_ in order] == list("abcabcbca")


def test_two_of_eight_are_timed_in_turn_at_equal_steps(task, monkeypatch):
    calls, seen = [], []
    monkeypatch.setattr(networks, "_warm", lambda *args, **rest: None)
    train = networks.swarm

    def noted(task, settings, **rest):
        seen.append(task.mode)
        return train(task, settings, **rest)

    tuned = networks.Tuned(noted, SWARM, "best")
    watched = dataclasses.replace(counted(task, calls), mode="vectorized")
    ways = {"steps": 6, "seeds": [0, 1], "clock": ticking()}
    ratio = contrasts.speed_up(watched, tuned, **ways)
    assert set(seen) == {"loop"}
    assert sum(calls) == 2 * 6 * (8 + 2)
    np.testing.assert_array_equal(ratio, 1)


def test_a_loss_ratio_pairs_seeds_and_averages_tasks():
    def ended(*loss):
        return networks.Outcomes(np.array(loss), np.zeros(2), np.zeros(2))

    one = {"a": {"QIMAD": ended(1.0, 2.0)}, "b": {"QIMAD": ended(8.0, 2.0)}}
    other = {"a": ended(2.0, 2.0), "b": ended(1.0, 1.0)}
    ratio = contrasts.loss_ratio(one, other)
    assert ratio.value == pytest.approx((0.5 * 8 * 1 * 2) ** 0.25)


def test_every_method_is_tuned_by_as_many_trainings(task, monkeypatch):
    trainings = []
    for name in ("swarm", "classical"):
        train = getattr(networks, name)

        def noted(task, settings, train=train, **rest):
            trainings.append(settings)
            return train(task, settings, **rest)

        for method, (kind, *others) in networks.METHODS.items():
            if kind is train:
                monkeypatch.setitem(networks.METHODS, method, (noted, *others))
    found = networks.tune(
        task,
        gradients=8,
        tries=2,
        seeds=[5],
        clock=ticking(),
        rng=np.random.default_rng(0),
    )
    assert set(found) == set(networks.METHODS)
    # three readouts share the swarm's, which the published settings begin
    assert len(trainings) == 2 * (1 + 3 + 2)
    assert all(np.isfinite(one.loss) for one in found.values())
