"""Schemes of search at equal evaluations, by their regret against all architectures."""

import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch

from qlib import intervals
from qlib.arguments import number_between, one_of
from qlib.nas.rules.families import target
from qlib.nas.rules.rules import FLOOR
from qlib.nas.screen import screen
from qlib.nas.search import SCHEMES, search

BARRED = 0.1  # a block whose bound is above it is left out of a screened search
FAMILIES = (
    "tfim_ferromagnet",
    "xx_in_field",
    "random_xx",
    "xy_critical",
    "self_dual_ising",
    "heisenberg_edge_spins",
    "xy_paramagnet",
    "heisenberg_dimer",
    "cluster_ising_critical",
    "cluster_ising_phase",
    "W",
)
BUDGETED = tuple(name for name in SCHEMES if name != "exhaustive")


@dataclass(frozen=True)
class Way:
    """A scheme, its entanglement term and whether candidates are screened.

    Attributes
    ----------
    scheme : str
        Of `qlib.nas.search.SCHEMES`.
    penalty : float
        λ.
    screened : bool
        Leave out candidates whose bound on the infidelity is above 0.1, the one of the
        least bound excepted.
    """

    scheme: str
    penalty: float = 0.0
    screened: bool = False

    def __str__(self):
        extra = f", λ = {self.penalty:g}" if self.penalty else ""
        return self.scheme.replace("_", " ") + extra + ", screened" * self.screened


@dataclass(frozen=True, eq=False)
class Regrets:
    """What every way of search picked, S seeds and T targets, and what was to be had.

    Attributes
    ----------
    targets : tuple of T str
    architectures : list of A tuples
    table : (A, S, T) array
        log10 infidelity of every architecture trained alone.
    score : dict of str to (S, T) array
        log10 infidelity of each way's pick, trained alone.
    shared : dict of str to (S, T) array
        The same with the supernet's weights, for those that have one.
    evaluations : dict of str to float
        A seed and target, the final training included; mean over targets.
    exhaustive : int
        Evaluations of the table.
    seconds : dict of str to float, or None
        All seeds and targets together, if there was a clock; of ways not screened,
        whose searches the screened ones share where all candidates are admitted.
    left_out : dict of str to int
        Candidates that the screen left out, for each target.
    """

    targets: tuple
    architectures: list
    table: np.ndarray
    score: dict
    shared: dict
    evaluations: dict
    exhaustive: int
    seconds: dict | None
    left_out: dict

    @cached_property
    def best(self):
        """log10 infidelity of the best architecture of each seed and target, (S, T)."""
        return self.table.min(0)

    def regret(self, name):
        """Decades above the best, (S, T), of a way or of what needs no search.

        "any architecture": the mean over all of them. "fixed": the architecture that is
        best on average over the other targets.
        """
        if name == "any architecture":
            return self.table.mean(0) - self.best
        if name == "fixed":
            return self._fixed() - self.best
        return self.score[one_of("name", name, tuple(self.score))] - self.best

    def mean(self, name):
        """Mean regret with its interval over targets.

        Returns
        -------
        Estimate
            Student's, over targets, the seeds of each averaged.
        """
        return intervals.student_mean(self.regret(name).mean(0))

    def less(self, name, other):
        """Mean regret of `name` minus that of `other`, target by target.

        Returns
        -------
        Estimate
        """
        return intervals.student_mean((self.regret(name) - self.regret(other)).mean(0))

    def gap(self, name):
        """log10 infidelity with shared weights minus trained alone, (S, T), decades."""
        return self.shared[name] - self.score[name]

    def ranked(self):
        """Names of the ways, least mean regret first."""
        return sorted(self.score, key=lambda name: self.regret(name).mean())

    def _fixed(self):
        means = self.table.mean(1)  # (A, T)
        others = means.sum(1, keepdims=True) - means
        chosen = others.argmin(0)  # (T,)
        return self.table[chosen, :, np.arange(len(chosen))].T


def judged(num_sites, *, point=0):
    """Eleven targets, a point of each of eleven families.

    No setting of any scheme was chosen on one of them: not the supernets' (see
    `qlib.nas.supernet.SETTINGS`), nor the rates and rungs of training alone, which
    were chosen on `qlib.nas.targets.seven`.

    Parameters
    ----------
    num_sites : int
        Even, in [4, 14].
    point : int, optional
        Of `qlib.nas.rules.families.target`; 0 unless given.

    Returns
    -------
    dict of str to Target
    """
    return {name.replace("_", " "): target(name, num_sites, point) for name in FAMILIES}


def regrets(
    targets,
    blocks,
    *,
    ways=BUDGETED,
    budget=None,
    seeds,
    steps=400,
    slots=2,
    clock=None,
):
    """Search for each target in several ways, and train all architectures for it.

    Parameters
    ----------
    targets : dict of str to Target
    blocks : dict
        The candidates.
    ways : sequence of Way or str, optional
        A string is a scheme without penalty or screen; all schemes unless given.
    budget : int, optional
        Evaluations that each way has for a seed and target; six trainings of one
        architecture unless given.
    seeds : sequence of int
        Also of the table: a pick and the same architecture in the table are one run.
    steps, slots : int, optional
        Of the training alone; blocks of an architecture.
    clock : callable, optional
        Seconds.

    Returns
    -------
    Regrets
    """
    ways = [Way(way) if isinstance(way, str) else way for way in ways]
    run = partial(search, seeds=seeds, steps=steps, slots=slots, clock=clock)
    states = list(targets.values())
    full = run(states, blocks, scheme="exhaustive")
    kept = {name: admitted(one, blocks) for name, one in targets.items()}
    plain = {
        way: _Found.of(
            run(states, blocks, scheme=way.scheme, penalty=way.penalty, budget=budget)
        )
        for way in dict.fromkeys(replace(way, screened=False) for way in ways)
    }
    found = {}
    for way in ways:
        found[str(way)] = one = copy.deepcopy(plain[replace(way, screened=False)])
        for names, places in _fewer(kept, blocks).items() if way.screened else ():
            few = run(
                [states[place] for place in places],
                {name: blocks[name] for name in names},
                scheme=way.scheme,
                penalty=way.penalty,
                budget=budget,
            )
            one.put(places, _Found.of(few))
    return Regrets(
        targets=tuple(targets),
        architectures=list(full.table),
        table=_decades(np.array([_wide(score) for score in full.table.values()])),
        score={name: _decades(one.score) for name, one in found.items()},
        shared={
            name: _decades(one.shared)
            for name, one in found.items()
            if one.shared is not None
        },
        evaluations={name: one.evaluations.mean() for name, one in found.items()},
        exhaustive=full.evaluations,
        seconds=clock and {str(way): one.seconds for way, one in plain.items()},
        left_out={name: len(blocks) - len(names) for name, names in kept.items()},
    )


def admitted(state, blocks, bound=BARRED):
    """Names of the candidates that the screen does not bar from a target.

    Parameters
    ----------
    state : Target
    blocks : dict
    bound : float, optional
        A candidate whose infidelity cannot fall below it alone is left out; 0.1 unless
        given. The candidate of the least bound stays.

    Returns
    -------
    tuple of str
    """
    bound = number_between("bound", bound, 0, 1)
    spectra = state.spectra()
    bounds = {
        name: screen(spectra, build(generator=torch.Generator().manual_seed(0)))
        for name, build in blocks.items()
    }
    least = min(bounds.values())
    return tuple(name for name, one in bounds.items() if one <= max(bound, least))


def rows(found):
    """Rows of a comparison: (metric, value, labels).

    Parameters
    ----------
    found : Regrets
    """
    for name in ("any architecture", "fixed", *found.score):
        regret = found.regret(name).mean(0)
        yield "mean regret, decades", regret.mean(), {"scheme": name}
        for place, value in zip(found.targets, regret, strict=True):
            labels = {"scheme": name, "target": place}
            yield "regret, decades", value, labels
    for name, spent in found.evaluations.items():
        share = spent / found.exhaustive
        yield "evaluations over those of all architectures", share, {"scheme": name}
    for name in found.shared:
        gap = found.gap(name).mean()
        yield "gap of shared weights, decades", gap, {"scheme": name}
    for place, count in found.left_out.items():
        yield "candidates left out by the screen", count, {"target": place}


@dataclass
class _Found:
    """Scores (S, T) and evaluations (T,) of one way."""

    score: np.ndarray
    shared: np.ndarray | None
    evaluations: np.ndarray
    seconds: float | None

    @classmethod
    def of(cls, found):
        score = _wide(found.score)
        evaluations = np.full(score.shape[1], float(found.evaluations))
        shared = _wide(found.supernet_score)
        return cls(score.copy(), shared, evaluations, found.seconds)

    def put(self, places, other):
        """Take over some targets of another search."""
        self.score[:, places] = other.score
        self.evaluations[places] = other.evaluations
        if self.shared is not None:
            self.shared[:, places] = other.shared


def _fewer(kept, blocks):
    """Admitted names, where they are not all, to the places of their targets."""
    groups = {}
    for place, names in enumerate(kept.values()):
        if len(names) < len(blocks):
            groups.setdefault(names, []).append(place)
    return groups


def _wide(score):
    """(S, T), also of one target."""
    if score is not None and score.ndim == 1:
        return score[:, None]
    return score


def _decades(score):
    return np.log10(np.maximum(score, FLOOR))
