"""What a search found, and what it was worth."""

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-16  # scores below it are rounding


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Architectures picked and their scores; S seeds, or S × T with several targets.

    Attributes
    ----------
    scheme : str
    architectures : list
        Of S tuples of block names; of S lists of T where there are several targets.
    score : (S,) or (S, T) array
        Of the pick, trained alone for all steps.
    supernet_score : array or None
        Of the pick with the supernet's weights, in schemes that train one.
    evaluations : int
        A seed and target, the final training included.
    seconds : float or None
        If there was a clock; those before an interruption are counted.
    table : dict
        Each architecture trained in full and its scores, NaN where it was not.
    history : list or dict
        "successive_halving": of each rung before the last, a dict of its "steps" and
        its "scores", architecture to array as in `table`. A supernet: a dict of arrays,
        the attributes of `qlib.nas.supernet.Trace`. "random", "exhaustive": empty.
    blocks : list of Block
        The picks with their trained weights, seed by seed, the target fastest.
    """

    scheme: str
    architectures: list
    score: np.ndarray
    supernet_score: np.ndarray | None
    evaluations: int
    seconds: float | None
    table: dict
    history: list | dict
    blocks: list

    @property
    def gap(self):
        """log10 supernet_score − log10 score, in decades: what the sharing cost.

        None in schemes without a supernet.
        """
        if self.supernet_score is None:
            return None
        return _decades(self.supernet_score) - _decades(self.score)

    def regret(self, exhaustive):
        """Decades between the pick and the best of all architectures.

        Parameters
        ----------
        exhaustive : SearchResult
            Of the scheme "exhaustive", for the same targets, seeds and steps. A result
            does not hold these: shapes alone are compared.

        Returns
        -------
        (S,) or (S, T) array
            log10 of the score over the least score of the same seed and target. Over
            hundreds of steps a training amplifies the rounding, which depends on what
            is trained beside it: the regret may be a little below zero.
        """
        if exhaustive.scheme != "exhaustive":
            got = exhaustive.scheme
            raise ValueError(f"exhaustive: got a result of {got}; allowed: exhaustive")
        if exhaustive.score.shape != self.score.shape:
            got, allowed = exhaustive.score.shape, self.score.shape
            raise ValueError(f"exhaustive: got shape {got}; allowed: {allowed}")
        return _decades(self.score) - _decades(exhaustive.score)


def result(study, state, seconds):
    """The `SearchResult` of a finished state."""
    shape = (len(study.seeds), study.task.replicas)
    shape = shape if study.task.replicas > 1 else shape[:1]

    def shaped(scores):
        return scores.numpy().reshape(shape)

    picks = list(state["picks"])
    if study.task.replicas > 1:
        width = study.task.replicas
        picks = [picks[i : i + width] for i in range(0, len(picks), width)]
    shared = state.get("supernet_score")
    return SearchResult(
        scheme=study.scheme,
        architectures=picks,
        score=shaped(state["score"]),
        supernet_score=None if shared is None else shaped(shared),
        evaluations=state["evaluations"],
        seconds=seconds,
        table={a: shaped(scores) for a, scores in state["table"].items()},
        history=_readable(state.get("history", []), shaped),
        blocks=[
            study.block(architecture, weights)
            for architecture, weights in zip(
                state["picks"], state["weights"], strict=True
            )
        ],
    )


def _readable(history, shaped):
    if isinstance(history, dict):
        return {name: values.numpy() for name, values in history.items()}
    return [
        {
            "steps": rung["steps"],
            "scores": {a: shaped(scores) for a, scores in rung["scores"].items()},
        }
        for rung in history
    ]


def _decades(score):
    return np.log10(np.maximum(score, ROUNDING))
