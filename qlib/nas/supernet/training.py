"""Training of a supernet: weights and architecture in turn, on different parts."""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.arguments import integer_between, number_between, one_of, positive_integer
from qlib.nas.supernet.mixture import MOST_SLOTS, one_hot
from qlib.nas.supernet.run import Run, warm_up
from qlib.nas.supernet.settings import SCHEMES, SETTINGS, Settings
from qlib.nas.training import check_callable, checked_task


@dataclass(frozen=True, eq=False)
class Trace:
    """How the architecture formed, at C checkpoints; the last, when all is decided.

    Attributes
    ----------
    steps : (C,) int array
        Steps done.
    shares : (C, R, S, K) array
        Probability of each candidate.
    entropy : (C, R) array
        Of these, summed over slots, nats.
    temperature : (C,) array
        Of the Gumbel-softmax; 1 in other schemes.
    loss : (C, R) array
        What was minimised on the part "weights", at the last step before.
    """

    steps: np.ndarray
    shares: np.ndarray
    entropy: np.ndarray
    temperature: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True, eq=False)
class TrainedSupernet:
    """What a supernet chose, for R replicas, seed by seed, the target running fastest.

    Attributes
    ----------
    scheme : str
    names : tuple of str
        The K candidates.
    picks : (R, S) int tensor
        Candidate of each slot, in the order of `names`.
    score : (R,) float64 tensor
        Of the picked architecture with the supernet's weights.
    relaxed_score : (R,) float64 tensor
        Of the mixture as trained, gates not yet one-hot.
    evaluations : int
        A replica.
    trace : Trace
    """

    scheme: str
    names: tuple
    picks: torch.Tensor
    score: torch.Tensor
    relaxed_score: torch.Tensor
    evaluations: int
    trace: Trace

    @property
    def architectures(self):
        """Sorted names of the picked candidates, a tuple a replica."""
        return [
            tuple(sorted(self.names[k] for k in row)) for row in self.picks.tolist()
        ]


def train_supernet(
    blocks,
    task,
    *,
    scheme,
    seeds,
    slots=2,
    steps=400,
    penalty=0.0,
    settings=None,
    callback=None,
):
    """Train a supernet over `blocks` and pick one candidate a slot.

    log psi = Σ_slots Σ_k g_sk log psi_sk. Every step trains the weights on the task's
    part "weights", then the architecture parameters on its part "architecture", each by
    Adam (Liu, Simonyan and Yang, DARTS, 2019, first order). What is minimised is the
    task's loss, or the logarithm of an infidelity where the settings say so.

    Parameters
    ----------
    blocks : dict
        name -> constructor(generator=...) of a `Block`.
    task : FullSum, Energy or Sampled
        All its targets are trained at once.
    scheme : {"darts", "gumbel", "expected", "perturbation"}
        "darts": gates are the softmax. "gumbel": one-hot samples, straight through, of
        an annealed Gumbel-softmax (Jang, Gu and Poole, 2017). "expected": the mean loss
        over all K^S architectures. "perturbation": as "darts" for half the steps, then
        slot by slot the candidate is kept without which the loss rises most, the rest
        being trained on in between (Wang et al., ICLR 2021).
    seeds : int or sequence of int
    slots : int, optional
        S, 2 unless given.
    steps : int, optional
        400 unless given.
    penalty : float, optional
        λ of λ Σ_cuts (R₂ − R₂_target)², added to the loss; 0 unless given. Evaluated on
        all configurations, which are evaluations too.
    settings : Settings, optional
        Rates and temperatures; those of `SETTINGS` for the scheme unless given.
    callback : callable, optional
        callback(step, run) after each step.

    Returns
    -------
    TrainedSupernet

    Raises
    ------
    ValueError
        If an argument is out of range, the sites of a block and of the task differ, or
        the task knows no R₂ where `penalty` asks for one.

    Notes
    -----
    A step costs S K evaluations a configuration of the two parts, those of the
    architecture's part counting a third, see `supernet_evaluations`; in "gumbel" S of
    the weights' part, whose sampled candidates alone are evaluated.
    """
    one_of("scheme", scheme, SCHEMES)
    positive_integer("steps", steps)
    number_between("penalty", penalty, 0, np.inf)
    checked_task(task)
    check_callable("callback", callback)
    if not (settings is None or isinstance(settings, Settings)):
        raise ValueError(f"settings: got {settings!r}; allowed: a Settings or None")
    run = Run(
        blocks,
        task,
        scheme=scheme,
        seeds=seeds,
        slots=slots,
        steps=steps,
        penalty=penalty,
        settings=SETTINGS[scheme] if settings is None else settings,
    )
    run.advance(callback)
    picks = run.picks()
    return TrainedSupernet(
        scheme,
        run.net.names,
        picks,
        run.score(one_hot(picks, len(blocks))),
        run.score(run.relaxed),
        run.evaluations,
        Trace(*(np.stack(column) for column in zip(*run.trace, strict=True))),
    )


def supernet_evaluations(
    blocks, task, *, scheme, slots=2, steps=400, penalty=0.0, settings=None
):
    """Evaluations a replica that `train_supernet` spends with these arguments.

    Those that choose between candidates take no gradient of the weights and count a
    third: reverse differentiation costs about two evaluations more.
    """
    one_of("scheme", scheme, SCHEMES)
    slots = integer_between("slots", slots, 1, MOST_SLOTS)
    settings = SETTINGS[scheme] if settings is None else settings
    everywhere = task.cost("all") if penalty else 0
    learning = steps * (task.cost("weights") + everywhere)
    turns = steps - warm_up(settings, steps)
    choosing = turns * (task.cost("architecture") + everywhere)
    if scheme == "perturbation":
        choosing += slots * task.cost("architecture")
    evaluated = 1 if scheme == "gumbel" else len(blocks)
    thirds = slots * (3 * evaluated * learning + len(blocks) * choosing)
    return -(-thirds // 3)


def steps_within(budget, blocks, task, *, scheme, slots=2, penalty=0.0, settings=None):
    """Most steps of `train_supernet` that cost at most `budget` evaluations a replica.

    0 if there is not enough for one.
    """
    given = {"scheme": scheme, "slots": slots, "penalty": penalty, "settings": settings}
    low, high = 0, 1
    while supernet_evaluations(blocks, task, steps=high, **given) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = supernet_evaluations(blocks, task, steps=middle, **given) <= budget
        low, high = (middle, high) if enough else (low, middle)
    return low
