"""Predictors of entropies at doubled sizes: laws they keep, and what they promise."""

import numpy as np
import pytest
import torch

from qlib.entanglement import freefermions, hamiltonians
from qlib.entanglement.dataset import FAMILIES, make_dataset
from qlib.entanglement.predictor import (
    BoostedTrees,
    CalabreseCardy,
    Doublings,
    ExponentialIncrements,
    IncrementTrees,
    LinearInLogSize,
    PlainNetwork,
    SameAsLargest,
    SizeFlow,
)
from qlib.entanglement.predictor.calibration import (
    conformal_quantile,
)

SIZES = (4, 8, 16)
SMALL = {
    PlainNetwork: dict(steps=40, hidden=8, members=3),
    BoostedTrees: dict(trees=10, members=3),
    SizeFlow: dict(steps=60, hidden=8, members=3),
    IncrementTrees: dict(trees=10, members=3),
}
BASELINES = (SameAsLargest, LinearInLogSize, CalabreseCardy, ExponentialIncrements)
METHODS = (*BASELINES, *SMALL)


def make(method):
    return method(**SMALL.get(method, {}))


def chains(entropy, *, sizes=SIZES, boundary="open", family=None):
    """Points with S(l, N) = `entropy(l, N)` for arrays of points; C = S."""
    half = np.stack([entropy(n // 2, n) for n in sizes], axis=1)
    quarter = np.stack([entropy(n // 4, n) for n in sizes], axis=1)
    count = len(half)
    family = np.array([f"family {k % 5}" for k in range(count)])
    parameters = tuple({"x": float(k), "boundary": boundary} for k in range(count))
    phase = np.array(["critical"] * count)
    return Doublings(sizes, family, phase, parameters, half, half, quarter)


def conformal(central_charge, constant=0.2):
    """Calabrese and Cardy's entropies of open chains, for arrays of c."""

    def entropy(cut, size):
        chord = 2 * size / np.pi * np.sin(np.pi * cut / size)
        return central_charge / 6 * np.log(chord) + constant

    return entropy


def saturating(length):
    """Entropies whose increments by a doubling are exp(−N/ξ), for arrays of ξ."""

    def entropy(cut, size):
        below = [4 * 2**k for k in range(int(np.log2(2 * cut / 4)))]
        return 0.3 + sum((np.exp(-n / length) for n in below), np.zeros_like(length))

    return entropy


@pytest.fixture(scope="module")
def ising():
    """Free families near and far from criticality, solved at 4, 8, 16, 32 and 64."""
    rng, rows = np.random.default_rng(3), []
    names = [
        "tfim_paramagnet",
        "tfim_ferromagnet",
        "tfim_critical",
        "xy_paramagnet",
        "xy_critical",
        "cluster_paramagnet",
        "cluster_critical",
    ]
    sizes = (*SIZES, 32, 64)
    for name in names * 10:
        family = FAMILIES[name]
        parameters = family.draw(rng)
        measured = []
        for size in sizes:
            parity = family.parity(size, parameters)
            H = family.build(size, **parameters)
            state = freefermions.ground_state(H, parity=parity)
            half = state.features(size // 2)
            quarter = state.features(size // 4).entropy
            measured.append((half.entropy, half.capacity, quarter))
        rows.append((name, family.phase, parameters, measured))
    family, phase, parameters, measured = zip(*rows, strict=True)
    parts = np.moveaxis(np.array(measured), 2, 0)  # (feature, point, size)
    return Doublings(sizes, np.array(family), np.array(phase), parameters, *parts)


def own_chain(sizes):
    chains = {size: hamiltonians.tfim(size, field=1.0) for size in sizes}
    return {size: freefermions.ground_state(H) for size, H in chains.items()}


def known(points):
    return points.up_to(3)


@pytest.mark.parametrize("method", [LinearInLogSize, CalabreseCardy])
@pytest.mark.parametrize("boundary", ["open", "periodic"])
def test_conformal_entropies_are_continued_exactly(method, boundary):
    charge = np.linspace(0.5, 2, 20)
    factor = 2 if boundary == "periodic" else 1  # a ring has two ends to its block
    points = chains(conformal(factor * charge), boundary=boundary)
    for prediction in method().fit(points).predict(points, 4):
        truth = conformal(factor * charge)(prediction.size // 2, prediction.size)
        assert prediction.value == pytest.approx(truth, abs=1e-12)


def test_an_area_law_reached_is_continued_exactly_by_doing_nothing():
    constant = np.linspace(0, 1, 20)
    points = chains(lambda cut, size: constant)
    for method in BASELINES:
        for prediction in method().fit(points).predict(points, 3):
            assert prediction.value == pytest.approx(constant, abs=1e-14)


def test_increments_that_fall_as_exp_minus_size_over_length_are_continued_exactly():
    length = np.geomspace(0.5, 500, 20)
    points = chains(saturating(length))
    for prediction in ExponentialIncrements().fit(points).predict(points, 3):
        truth = saturating(length)(prediction.size // 2, prediction.size)
        assert prediction.value == pytest.approx(truth, abs=1e-12)


def test_entropies_that_stand_still_stay_where_they_are_in_the_size_flow(ising):
    flow = make(SizeFlow).fit(known(ising))
    constant = np.linspace(0, 1, 20)
    still = chains(lambda cut, size: constant)
    for prediction in flow.predict(still, 3):
        assert prediction.value == pytest.approx(constant, abs=1e-14)


def test_the_size_flow_is_the_same_after_a_shift_of_all_entropies(ising):
    """An edge mode or a cat state adds ln 2 at every size."""
    train = known(ising)
    shifted = Doublings(
        train.sizes,
        train.family,
        train.phase,
        train.parameters,
        train.entropy + np.log(2),
        train.capacity,
        train.quarter + np.log(2),
    )
    flow = make(SizeFlow).fit(train)
    for first, second in zip(flow.predict(train), flow.predict(shifted), strict=True):
        assert second.value == pytest.approx(first.value + np.log(2), abs=1e-12)


def test_the_size_flow_never_leaves_the_cone_of_its_factors(ising):
    """−1 < a < 2: no answer beyond a volume law in either direction."""
    flow = make(SizeFlow).fit(known(ising))
    last = ising.entropy[:, 2] - ising.entropy[:, 1]
    (step,) = flow.predict(known(ising), 1)
    ratio = (step.value - ising.entropy[:, 2]) / last
    assert (ratio > -1).all()
    assert (ratio < 2).all()


def test_the_size_flow_beats_doing_nothing_and_the_line_on_free_fermions(ising):
    """At 64 sites, on points it was not trained on."""
    odd = np.arange(len(ising)) // 7 % 2 == 1
    train, asked, truth = known(ising.take(~odd)), known(ising.take(odd)), ising.entropy
    errors = {}
    for method in (SizeFlow, SameAsLargest, LinearInLogSize):
        *_, at_64 = method().fit(train).predict(asked, 2)
        errors[method] = np.abs(at_64.value - truth[odd, 4]).mean()
    assert errors[SizeFlow] < 0.5 * errors[SameAsLargest]
    assert errors[SizeFlow] < errors[LinearInLogSize]


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_repeated_gives_equal_predictions_and_leaves_torch_alone(method, ising):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second = (
        make(method).fit(known(ising), seed=4).predict(known(ising)) for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.value, other.value)
        np.testing.assert_array_equal(one.low, other.low)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("method", METHODS)
def test_predictions_do_not_depend_on_the_other_points_asked(method, ising):
    fitted = make(method).fit(known(ising))
    together = fitted.predict(known(ising))
    for place in (0, 33, 69):
        alone = fitted.predict(known(ising.take([place])))
        for one, all_of_them in zip(alone, together, strict=True):
            assert one.value[0] == pytest.approx(all_of_them.value[place], abs=1e-12)
            assert one.inside[0] == all_of_them.inside[place]


@pytest.mark.parametrize("method", [*METHODS[:3], *SMALL])
def test_intervals_hold_their_values_and_widen_with_confidence_and_doublings(
    method, ising
):
    fitted = make(method).fit(known(ising))
    narrow = fitted.predict(known(ising), 2, confidence=0.5)
    wide = fitted.predict(known(ising), 2, confidence=0.9)
    for one, other in zip(narrow, wide, strict=True):
        assert (one.low <= one.value).all()
        assert (one.value <= one.high).all()
        assert (other.low <= one.low).all()
        assert (other.high >= one.high).all()
    assert (wide[1].high - wide[1].low >= wide[0].high - wide[0].low - 1e-12).all()


def test_the_law_through_three_sizes_has_no_interval(ising):
    (step,) = ExponentialIncrements().fit(known(ising)).predict(known(ising), 1)
    assert np.isnan(step.low).all()
    assert not step.covers(step.value).any()


@pytest.mark.parametrize("method", [PlainNetwork, BoostedTrees])
def test_parameters_alone_are_outside_at_every_size_not_trained_on(method, ising):
    fitted = make(method).fit(known(ising))
    assert not any(step.inside.any() for step in fitted.predict(known(ising), 2))
    (at_16,) = fitted.predict(known(ising).up_to(2), 1)
    assert at_16.inside.all()


def test_parameters_alone_are_outside_in_a_family_not_trained_on(ising):
    cluster = np.char.startswith(ising.family, "cluster")
    fitted = make(PlainNetwork).fit(known(ising.take(~cluster)))
    (at_16,) = fitted.predict(ising.up_to(2), 1)
    np.testing.assert_array_equal(at_16.inside, ~cluster)


@pytest.mark.parametrize("method", [SizeFlow, IncrementTrees])
def test_a_volume_law_is_outside_of_what_learnt_from_other_laws(method, ising):
    fitted = make(method).fit(known(ising))
    volume = chains(lambda cut, size: cut * np.linspace(0.3, 0.6, 20))
    assert fitted.predict(known(ising), 1)[0].inside.all()
    assert not fitted.predict(volume, 1)[0].inside.any()


@pytest.mark.parametrize("sizes", [(8, 16), (12, 24), (20, 40)])
def test_the_size_flow_predicts_a_chain_of_one_s_own_of_any_sizes(sizes, ising):
    flow = make(SizeFlow).fit(known(ising))
    mine = Doublings.from_states(own_chain(sizes))
    (step,) = flow.predict(mine, 1)
    size = 2 * sizes[-1]
    state = own_chain([size])[size]
    truth = state.features(size // 2).entropy
    assert step.size == size
    assert step.inside.all()
    assert step.covers(truth).all()
    assert np.abs(step.value - truth) < 0.3 * np.abs(mine.entropy[0, 1] - truth)


@pytest.mark.parametrize("sizes", [(4,), (4, 8, 12), (2, 4), (8, 4), (4.5, 9)])
def test_sizes_that_do_not_double_are_refused(sizes):
    with pytest.raises(ValueError, match="sizes: got"):
        chains(lambda cut, size: np.zeros(3), sizes=sizes)


@pytest.mark.parametrize("sizes", [(5, 10), (6, 12, 24), (10, 20)])
def test_sizes_whose_cuts_alternate_in_parity_or_miss_a_bond_are_refused(sizes):
    with pytest.raises(ValueError, match=r"sizes: got .* multiple of 4"):
        chains(lambda cut, size: np.zeros(3), sizes=sizes)


@pytest.mark.parametrize("method", [*BASELINES, SizeFlow])
def test_two_sizes_are_refused_where_a_third_is_learnt_from(method, ising):
    with pytest.raises(ValueError, match=r"sizes: got \(4, 8\); allowed: at least 3"):
        make(method).fit(ising.up_to(2))


def test_two_sizes_are_refused_where_a_law_goes_through_three(ising):
    fitted = ExponentialIncrements().fit(known(ising))
    with pytest.raises(ValueError, match="sizes: got"):
        fitted.predict(ising.up_to(2))


@pytest.mark.parametrize("name", ["entropy", "capacity", "quarter"])
@pytest.mark.parametrize("bad", [np.nan, -1.0])
def test_features_that_are_no_features_are_refused_by_name(name, bad, ising):
    parts = {key: getattr(ising, key).copy() for key in vars(ising) if key == name}
    parts[name][3, 1] = bad
    rest = {key: value for key, value in vars(ising).items() if key != name}
    with pytest.raises(ValueError, match=f"{name}: got an array"):
        Doublings(**rest, **parts)


def test_no_points_and_points_of_unequal_number_are_refused(ising):
    with pytest.raises(ValueError, match="family, phase, parameters: got 0"):
        ising.take([])
    parts = vars(ising) | {"family": ising.family[1:]}
    with pytest.raises(ValueError, match="family, phase, parameters: got"):
        Doublings(**parts)


@pytest.mark.parametrize("name", ["family", "phase", "parameters"])
@pytest.mark.parametrize("bad", [None, [None] * 70, "tfim_critical"])
def test_names_and_parameters_that_are_none_are_refused_by_name(name, bad, ising):
    with pytest.raises(ValueError, match=f"{name}: got"):
        Doublings(**vars(ising) | {name: bad})


@pytest.mark.parametrize("method", [SizeFlow, IncrementTrees])
def test_fewer_families_than_members_are_refused(method, ising):
    with pytest.raises(ValueError, match=r"family: got .* at least 5 families"):
        method().fit(known(ising.take(ising.family == "tfim_critical")))


@pytest.mark.parametrize("method", [PlainNetwork, BoostedTrees])
def test_fewer_points_than_members_are_refused(method, ising):
    with pytest.raises(ValueError, match="train: got 4 points; allowed: at least 5"):
        method().fit(known(ising.take(slice(4))))


@pytest.mark.parametrize("method", [PlainNetwork, BoostedTrees])
def test_points_without_parameters_are_refused_where_they_are_all_that_is_seen(
    method, ising
):
    fitted = make(method).fit(known(ising))
    states = own_chain((4, 8))
    with pytest.raises(ValueError, match=r"parameters: got \{\}; allowed: .*boundary"):
        fitted.predict(Doublings.from_states(states))


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_doublings_and_what_is_not_fitted_are_refused(method, ising):
    rows = make_dataset(1, sizes=(4, 8))
    with pytest.raises(ValueError, match="train: got Dataset; allowed: Doublings"):
        make(method).fit(rows)
    with pytest.raises(ValueError, match=f"predict: got a {method.__name__} without"):
        make(method).predict(known(ising))
    with pytest.raises(ValueError, match="points: got Dataset; allowed: Doublings"):
        make(method).fit(known(ising)).predict(rows)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("doublings", [0, -1, 1.5, True])
def test_a_number_of_doublings_that_is_none_is_refused(method, doublings, ising):
    fitted = make(method).fit(known(ising))
    with pytest.raises(ValueError, match="doublings: got"):
        fitted.predict(known(ising), doublings)


@pytest.mark.parametrize("confidence", [0.0, 1.5, np.nan])
def test_a_confidence_that_is_none_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence: got"):
        conformal_quantile([1.0, 2.0], confidence)
