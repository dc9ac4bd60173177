"""What a prediction costs beside DMRG, and what is recorded of both."""

import numpy as np
import pytest

from qlib.entanglement.trials import costs, rows
from qlib.entanglement.trials.costs import Cost
from qlib.entanglement.trials.reach import FRESH, Comparison


@pytest.fixture
def found():
    """Two families, one seed, 32 and 64 sites; the plain network has no intervals."""
    truth = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    errors = {
        "plain network": np.full((1, 3, 2), 0.5),
        "size flow": np.zeros((1, 3, 2)),
    }
    errors["size flow"][0, 0, 1] = 0.25
    inside = {name: np.array([[[True, False]] * 3]) for name in errors}
    return Comparison(
        FRESH,
        np.array(["a", "a", "b"]),
        np.array(["gapped", "gapped", "critical"]),
        truth,
        errors,
        {"size flow": np.array([[[True, True], [True, False], [True, True]]])},
        {"size flow": np.array([[[1.0, 3.0], [1.0, 5.0], [1.0, 4.0]]])},
        inside,
        {"plain network": (4.0, 0.5), "size flow": (1.0, 0.25)},
    )


@pytest.fixture
def cost():
    return Cost(
        np.array([0, 1, 2]),
        np.array([1e-6, -3e-6, 0.7]),
        np.array([False, False, True]),
        np.array([2.0, 8.0, 99.0]),
        np.array([0.75, 0.75, 0.75]),
    )


def test_a_prediction_costs_the_diagonalisations_that_it_asks_for(found, cost):
    np.testing.assert_allclose(costs.spent(cost, "size flow", found), 1)
    np.testing.assert_allclose(costs.spent(cost, "plain network", found), 0.5)


def test_the_ratio_leaves_out_chains_that_dmrg_reports_as_broken(found, cost):
    assert costs.ratio(cost, "size flow", found).value == pytest.approx(4)


def test_rows_tell_errors_intervals_and_what_is_outside(found):
    told = {
        (metric, *labels.values()): value
        for metric, value, labels in rows.compared(found, least=2)
    }
    # means over families: of two points of "a", and of the one of "b"
    error = told["mean absolute error, nats", "size flow", 64, FRESH]
    assert error == pytest.approx((0.125 + 0) / 2)
    assert told["share in the interval", "size flow", 64, FRESH] == pytest.approx(0.75)
    width = told["median width of the interval, nats", "size flow", 64, FRESH]
    assert width == 4
    inside, outside = (
        ("share in the interval", "size flow", 32, FRESH, "inside"),
        ("share in the interval", "size flow", 64, FRESH, "outside"),
    )
    assert told[inside] == 1
    assert told[outside] == pytest.approx(0.75)
    assert (*outside[:4], "inside") not in told
    assert told["share told outside", "size flow", 64, FRESH] == 1
    assert told["share told outside", "size flow", 32, FRESH] == 0
    assert not any("interval" in key[0] and "plain" in key[1] for key in told)


def test_few_points_inside_have_no_share(found):
    assert not any("told" in labels for _, _, labels in rows.compared(found))


def test_errors_of_dmrg_are_told_with_and_without_broken_chains(found, cost):
    told = {metric: value for metric, value, _ in rows.errors_of_dmrg({1e-8: cost})}
    assert told["mean absolute error, nats"] == pytest.approx(2e-6)
    assert told["error with those passed over, nats"] == pytest.approx(
        0.7 / 3, rel=1e-4
    )
    spent = [labels for _, _, labels in rows.seconds(found, {1e-8: cost})]
    assert {"method": "DMRG", "truncation": 1e-8} in spent
