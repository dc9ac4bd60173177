"""Half-chain entropies at 32 and 64 sites: predictors, their baselines, and DMRG.

Everything learns from the same chains diagonalised at 4, 8 and 16 sites, and is asked
about points that it has not seen: of the families it knows, or of families held out of
training. Free fermions say the truth where a family is free, DMRG elsewhere.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from qlib.arguments import one_of, positive_integer
from qlib.entanglement import freefermions, spectrum
from qlib.entanglement.dataset import FAMILIES
from qlib.entanglement.dmrg import dmrg
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
from qlib.entanglement.predictor.calibration import folds
from qlib.intervals import Estimate, mean, student_mean

SIZES = (4, 8, 16)
TARGETS = (32, 64)
METHODS = {
    "plain network": PlainNetwork,
    "boosted trees": BoostedTrees,
    "same as largest": SameAsLargest,
    "linear in ln N": LinearInLogSize,
    "Calabrese-Cardy": CalabreseCardy,
    "exponential increments": ExponentialIncrements,
    "trees on increments": IncrementTrees,
    "size flow": SizeFlow,
}
BASELINES = (
    "same as largest",
    "linear in ln N",
    "Calabrese-Cardy",
    "exponential increments",
    "boosted trees",
    "trees on increments",
)
RANDOM = ("random_xx",)
FRESH, HELD_OUT = "fresh points", "families held out"
TRUNCATIONS = (1e-8, 1e-10)
AGREED = 1e-3  # nats between entropies at two truncations that count as one


@dataclass(frozen=True, eq=False)
class Stage:
    """What is learnt from, what is asked, and the answers.

    Attributes
    ----------
    train, test : Doublings
        Of different points.
    truth : (P, 2) array
        Half-chain entropies of the test points at `TARGETS`, nats.
    doubt : (P,) array
        Largest difference between DMRG's entropies at two truncations, nats; 0 of free
        fermions.
    left_out : dict
        Family to number of points with no answer known: rings that are not free, and
        chains of whose degenerate ground states DMRG finds one that breaks a symmetry.
    """

    train: Doublings
    test: Doublings
    truth: np.ndarray
    doubt: np.ndarray
    left_out: dict


def joined(first, second):
    """The `Stage` of both: learnt from all that is learnt, asked all that is asked."""
    return Stage(
        first.train.joined(second.train),
        first.test.joined(second.test),
        np.concatenate([first.truth, second.truth]),
        np.concatenate([first.doubt, second.doubt]),
        first.left_out | second.left_out,
    )


def prepare(dataset, *, per_family, truncations=TRUNCATIONS, without=RANDOM):
    """Part a dataset by points into what is learnt from and what is asked.

    Parameters
    ----------
    dataset : qlib.entanglement.dataset.Dataset
        Solved at 4, 8 and 16 sites at least.
    per_family : int
        Test points, the last of each family; the others are for training.
    truncations : (float, float)
        Of DMRG, coarse then fine. The fine one's entropies are the truth, if the coarse
        one's differ by less than 0.001 nats.
    without : sequence of str
        Families neither learnt nor asked. By default the random chains: half a longer
        one is cut at another bond, of which shorter ones say nothing, and their noise
        would drown every comparison.

    Returns
    -------
    Stage
    """
    per_family = positive_integer("per_family", per_family)
    points = Doublings.from_dataset(dataset, SIZES)
    points = points.take(~np.isin(points.family, without))
    names = points.family
    after = np.array([(names[k:] == name).sum() - 1 for k, name in enumerate(names)])
    asked = points.take(after < per_family)
    answers = [
        _answers(name, given, truncations)
        for name, given in zip(asked.family, asked.parameters, strict=True)
    ]
    truth, doubt = np.moveaxis(np.array(answers, dtype=float), 2, 0)  # (P, target)
    known = (doubt < AGREED).all(axis=1)
    names, counts = np.unique(asked.family[~known], return_counts=True)
    return Stage(
        points.take(after >= per_family),
        asked.take(known),
        truth[known],
        doubt[known].max(axis=1),
        dict(zip(names.tolist(), counts.tolist(), strict=True)),
    )


def _answers(name, parameters, truncations):
    """(entropy, doubt) at all targets; none of a point where one is not known."""
    answers = []
    for size in TARGETS:
        answers.append(true_entropy(name, parameters, size, truncations))
        if np.isinf(answers[-1][1]):
            return [(np.nan, np.inf)] * len(TARGETS)
    return answers


def true_entropy(name, parameters, size, truncations=TRUNCATIONS):
    """Half-chain entropy of a family's ground state, and how far it is in doubt.

    Returns
    -------
    entropy, doubt : float
        Nats. Doubt is 0 of free fermions, the difference between two truncations of
        DMRG, and inf where no answer is known.
    """
    family = FAMILIES[name]
    H = family.build(size, **parameters)
    if family.free:
        parity = family.parity(size, parameters)
        state = freefermions.ground_state(H, parity=parity)
        return state.features(size // 2).entropy, 0.0
    if parameters["boundary"] == "periodic":
        return np.nan, np.inf
    entropies = []
    for truncation in truncations:
        found = by_dmrg(H, truncation)
        if found.broken_symmetries:
            return np.nan, np.inf
        entropies.append(half_chain_entropy(found))
    return entropies[1], abs(entropies[1] - entropies[0])


def by_dmrg(H, truncation):
    """`DMRGResult` of a Hamiltonian at one truncation."""
    return dmrg(H, truncation=truncation, energy_tol=10 * truncation)


def half_chain_entropy(found):
    """Half-chain entropy of a `DMRGResult`."""
    return spectrum.renyi(found.probabilities[len(found.probabilities) // 2], 1)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every method's predictions for the test points, of several training seeds.

    Attributes
    ----------
    setting : {"fresh points", "families held out"}
    family, phase : (P,) str arrays
    truth : (P, T) array
    errors : dict
        Method to (seeds, P, T), prediction minus truth, nats. Seeds of a method that
        does not learn agree.
    covered : dict
        Method to (seeds, P, T) bools: the interval holds the truth; methods without
        intervals are left out.
    widths : dict
        Method to (seeds, P, T), high minus low end of its intervals, nats; the methods
        of `covered`.
    inside : dict
        Method to (seeds, P, T) bools: it was trained on what was asked, by its word.
    seconds : dict
        Method to (of training, of predicting one point), means, by the caller's clock.
    """

    setting: str
    family: np.ndarray
    phase: np.ndarray
    truth: np.ndarray
    errors: dict
    covered: dict
    widths: dict
    inside: dict
    seconds: dict

    def absolute(self, method, size=64):
        """Absolute errors (P,), means over seeds, nats."""
        return np.abs(self.errors[method][:, :, self._place(size)]).mean(axis=0)

    def error(self, method, size=64, phase=None):
        """Mean absolute error over families, of one phase or all, nats."""
        return self._mean(self.absolute(method, size), self._of(phase))

    def relative(self, method, size=64, phase=None):
        """Sum of absolute errors over sum of entropies, of one phase or all."""
        asked = self._of(phase)
        errors = self.absolute(method, size)[asked]
        return float(errors.sum() / self.truth[asked, self._place(size)].sum())

    def difference(self, method, other, size=64, phase=None):
        """Mean over families of `method`'s absolute error minus `other`'s, nats."""
        gaps = self.absolute(method, size) - self.absolute(other, size)
        return self._mean(gaps, self._of(phase))

    def coverage(self, method, size=64, inside=None):
        """Share of truths in the intervals of nine tenths, with its interval.

        Parameters
        ----------
        method : str
        size : int
        inside : bool, optional
            Only of answers that the method itself says are inside, or outside, what it
            was trained on.

        Returns
        -------
        Estimate or None
            None where the method has no intervals, or fewer than two points are asked.
        """
        if method not in self.covered:
            return None
        place = self._place(size)
        covered = self.covered[method][:, :, place].astype(float)
        told = np.ones(covered.shape, bool)
        if inside is not None:
            told = self.inside[method][:, :, place] == inside
        asked = told.any(axis=0)
        if asked.sum() < 2:
            return None
        counts = np.maximum(told.sum(axis=0), 1)
        share = self._mean((covered * told).sum(axis=0) / counts, asked)
        return Estimate(*(float(np.clip(end, 0, 1)) for end in share))

    def width(self, method, size=64):
        """Median width of intervals over points and seeds, nats; None without."""
        if method not in self.widths:
            return None
        return float(np.median(self.widths[method][:, :, self._place(size)]))

    def best(self, methods=BASELINES, size=64):
        """Of the methods compared, the one of least mean absolute error at a size."""
        compared = [name for name in methods if name in self.errors]
        return min(compared, key=lambda name: self.error(name, size).value)

    def table(self):
        """A row for every method, size and phase ("all" for all of them)."""
        return pd.DataFrame(
            [
                {
                    "method": method,
                    "size": size,
                    "phase": phase or "all",
                    **self.error(method, size, phase)._asdict(),
                    "relative": self.relative(method, size, phase),
                }
                for method in self.errors
                for size in TARGETS
                for phase in (None, *np.unique(self.phase))
            ]
        )

    def _place(self, size):
        if size not in TARGETS:
            raise ValueError(f"size: got {size!r}; allowed: {TARGETS}")
        return TARGETS.index(size)

    def _of(self, phase):
        one_of("phase", phase, (None, *np.unique(self.phase).tolist()))
        return np.ones(len(self.phase), bool) if phase is None else self.phase == phase

    def _mean(self, values, asked):
        """Over families' means, since points of one family err alike.

        Student's interval over families; of one family alone, over points.
        """
        values, family = values[asked], self.family[asked]
        means = [values[family == name].mean() for name in np.unique(family)]
        return student_mean(means) if len(means) > 1 else mean(values)


def compare(stage, methods=METHODS, *, clock, setting=FRESH, parts=6, seeds=5):
    """Train every method with several seeds and ask it for the test points.

    Parameters
    ----------
    stage : Stage
    methods : dict
        Name to a class with ``fit(train, seed=)`` and ``predict(points, doublings)``.
    clock : callable
        Seconds, monotonic.
    setting : {"fresh points", "families held out"}
        Held out: the families fall into `parts`, each asked of methods trained on the
        others.
    parts, seeds : int

    Returns
    -------
    Comparison
    """
    one_of("setting", setting, (FRESH, HELD_OUT))
    seeds = positive_integer("seeds", seeds)
    test, shape = stage.test, (seeds, *stage.truth.shape)
    errors = {name: np.empty(shape) for name in methods}
    covered = {name: np.empty(shape, bool) for name in methods}
    widths = {name: np.empty(shape) for name in methods}
    inside = {name: np.empty(shape, bool) for name in methods}
    seconds = {}
    for name, method in methods.items():
        spent = np.zeros(2)
        for learnt, asked in _splits(stage, setting, parts):
            for seed in range(seeds):
                times = [clock()]
                fitted = method().fit(learnt, seed=seed)
                times.append(clock())
                predictions = fitted.predict(test.take(asked), len(TARGETS))
                spent += np.diff([*times, clock()])
                for place, prediction in enumerate(predictions):
                    at, truth = (seed, asked, place), stage.truth[asked, place]
                    errors[name][at] = prediction.value - truth
                    covered[name][at] = prediction.covers(truth)
                    widths[name][at] = prediction.high - prediction.low
                    inside[name][at] = prediction.inside
        if np.isnan(prediction.high).all():
            del covered[name], widths[name]
        fits = seeds * (1 if setting == FRESH else parts)
        seconds[name] = (spent[0] / fits, spent[1] / (seeds * len(test)))
    return Comparison(
        setting,
        test.family,
        test.phase,
        stage.truth,
        errors,
        covered,
        widths,
        inside,
        seconds,
    )


def _splits(stage, setting, parts):
    """(Doublings learnt from, (P,) bools of test points asked), covering them all."""
    if setting == FRESH:
        return [(stage.train, np.ones(len(stage.test), bool))]
    names = np.unique(stage.train.family)
    part = dict(zip(names.tolist(), folds(names, parts, 0).tolist(), strict=True))
    of_train = np.array([part[name] for name in stage.train.family])
    of_test = np.array([part[name] for name in stage.test.family])
    return [
        (stage.train.take(of_train != k), of_test == k)
        for k in range(parts)
        if (of_test == k).any()
    ]
