"""Half chains of doubled sizes, from a dataset and from states of one's own."""

import json

import numpy as np
import pandas as pd
import pytest

from qlib.entanglement import exact, freefermions, hamiltonians
from qlib.entanglement.dataset.storage import CUTS, TABLE, Dataset
from qlib.entanglement.dmrg import dmrg
from qlib.entanglement.predictor import Doublings

SIZES = (4, 8, 16)
SOLVERS = (exact.ground_state, freefermions.ground_state, dmrg)


def dataset(rows):
    """A `Dataset` of rows (point, family, size, gap, degenerate), S = 10 N + cut."""
    table, cuts = [], []
    for number, (point, family, size, gap, degenerate) in enumerate(rows):
        given = json.dumps({"field": point / 2, "boundary": "open"})
        where = (point, family, "gapped", size, "open", given)
        table.append((*where, 0.0, gap, "{}", degenerate, 0, "1"))
        for cut in range(1, size):
            value = np.nan if degenerate else 10.0 * size + cut
            cuts.append((number, cut, *[value] * 7))
    frames = [pd.DataFrame(table, columns=TABLE), pd.DataFrame(cuts, columns=CUTS)]
    return Dataset(*frames, np.empty(0), np.zeros(len(cuts) + 1, np.int64))


def test_points_of_a_dataset_line_up_over_sizes_and_degenerate_ones_are_left_out():
    rows = [(0, "a", 16, 0.3, False), (1, "b", 8, 0.2, False), (0, "a", 4, 0.5, False)]
    rows += [(1, "b", 16, 0.1, True), (2, "c", 4, 0.9, False), (0, "a", 8, 0.4, False)]
    rows += [(1, "b", 4, 0.3, False), (2, "c", 16, 0.7, False), (2, "c", 8, 0.8, False)]
    points = Doublings.from_dataset(dataset(rows), SIZES)
    assert points.family.tolist() == ["a", "c"]
    assert points.parameters[1] == {"field": 1.0, "boundary": "open"}
    assert points.entropy[0].tolist() == [42, 84, 168]
    assert points.quarter[1].tolist() == [41, 82, 164]


def own_chain(solve, sizes):
    return {size: solve(hamiltonians.tfim(size, field=1.0)) for size in sizes}


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_chain_of_one_s_own_is_the_point_filled_in_by_hand(solve):
    states = own_chain(solve, (8, 4))
    half = [states[4].features(2), states[8].features(4)]
    by_hand = Doublings(
        (4, 8),
        family=[""],
        phase=[""],
        parameters=[{}],
        entropy=[[one.entropy for one in half]],
        capacity=[[one.capacity for one in half]],
        quarter=[[states[4].features(1).entropy, states[8].features(2).entropy]],
    )
    mine = Doublings.from_states(states)
    for name in ("sizes", "parameters"):
        assert getattr(mine, name) == getattr(by_hand, name)
    for name in ("family", "phase", "entropy", "capacity", "quarter"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(by_hand, name))


@pytest.mark.parametrize(
    ("key", "of", "message"),
    [
        (16, 8, r"cut: got 15; allowed: .* \[1, 7\]"),
        (16, 32, "states: got one of more than 16 sites at 16"),
        (10, 10, r"sizes: got \(8, 10\)"),
        ("16", 16, "sizes: got '16'"),
        (16, None, "states: got NoneType at 16"),
    ],
)
def test_states_that_are_not_of_doubled_sizes_are_refused(key, of, message):
    solve = freefermions.ground_state
    states = own_chain(solve, (8, 32)) | own_chain(solve, (10, 16)) | {None: None}
    with pytest.raises(ValueError, match=message):
        Doublings.from_states({8: states[8], key: states[of]})


def test_states_without_their_sizes_are_refused():
    states = own_chain(freefermions.ground_state, (4, 8))
    with pytest.raises(ValueError, match="states: got list"):
        Doublings.from_states(list(states.values()))


def test_sizes_not_in_the_dataset_are_refused():
    with pytest.raises(ValueError, match=r"sizes: got \(8, 16\); allowed: .* \[4, 8\]"):
        Doublings.from_dataset(
            dataset([(0, "a", 4, 1.0, False), (0, "a", 8, 1.0, False)]), (8, 16)
        )
