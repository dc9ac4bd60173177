"""Training of one architecture on its task, all targets and seeds at once."""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.arguments import integer_between, number_between, positive_integer
from qlib.nas.adam import Adam
from qlib.nas.blocks import Product
from qlib.nas.replicas import Replicas
from qlib.nas.tasks.renyi import entanglement_penalty

LEARNING_RATE = 0.02
ROUNDING = 1e-16  # of an infidelity, so that its logarithm stays finite
WARM_UP = 0.2  # share of the steps in which the rate rises
CHECKPOINTS = 20  # scores a training takes, evenly spaced
SPACING = 20  # steps between two scores at least: a sixtieth of the work


def train(
    build,
    task,
    *,
    seeds,
    steps=400,
    learning_rate=LEARNING_RATE,
    penalty=0.0,
    start=None,
    callback=None,
):
    """Train one architecture on each target of a task from several seeds.

    Parameters
    ----------
    build : callable
        build(generator=...) -> `Block`.
    task : FullSum, Energy or Sampled
        What is minimised; holds the targets.
    seeds : int or sequence of int
        A seed decides the first weights, the same for every target.
    steps : int, optional
        Steps of Adam, 400 unless given.
    learning_rate : float, optional
        At the start, 0.02 unless given; times the block's `rate`, which is 1/4 for
        RBM and Jastrow and 2 for MPS. See `schedule`.
    penalty : float, optional
        λ of λ Σ_cuts (R₂ − R₂_target)², added to the loss; 0 unless given.
    start : Trained, optional
        Go on from its best weights instead of new ones, with a fresh schedule.
    callback : callable, optional
        callback(step, training) after each step.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If an argument is out of range, `build` makes no block of complex128 log psi,
        the sites of block and task differ, or the task knows no R₂ where `penalty` asks
        for one.

    Notes
    -----
    What is minimised is the logarithm of an infidelity, and an energy as it is. Both
    choices here were made on the seven targets (`qlib.nas.targets.seven`) and the six
    default candidates, three seeds, 300 steps at N = 8: the mean log10 infidelity is
    −2.5 with the logarithm, −1.9 with the infidelity itself. Networks do best at rates
    of 0.02 to 0.03 (N = 6). Complex RBM do at 0.003 to 0.005: at 0.01 most fall into
    one of the two configurations of GHZ and stay there, and the rise of the rate is
    for that state too: products of two blocks gain a decade and more at N = 6, other
    targets neither gain nor lose. MPS hardly mind at N = 8 (0.005 to 0.08), and want
    0.04 at 64 sites.
    """
    task, seeds = checked_task(task), seed_list(seeds)
    check_callable("callback", callback)
    several = task.replicas > 1
    training = Training(
        build,
        task.select(list(range(task.replicas)) * len(seeds)) if several else task,
        seeds=np.repeat(seeds, task.replicas),
        steps=steps,
        learning_rate=learning_rate,
        penalty=penalty,
    )
    if start is not None:
        shape = (len(seeds), task.replicas)
        if start.score.shape != shape:
            got = f"seeds and targets {start.score.shape}"
            raise ValueError(f"start: got {got}; allowed: {shape}")
        training.replicas.load_state_dict(start.weights)
        training.restart()
    training.advance(training.steps, callback)
    return training.trained(seeds)


@dataclass(frozen=True, eq=False)
class Trained:
    """An architecture's best weights and scores for each seed and target.

    Attributes
    ----------
    seeds : list of S int
    score : (S, T) array
        Least of the task's scores at the checkpoints. Where these are estimates from
        samples it is too small by about their spread.
    checkpoints : (C,) int array
        Steps after which scores were taken.
    scores : (C, S, T) array
        The scores there.
    evaluations : int
        Of one replica: steps × blocks × configurations a step. Scores, which need no
        gradient, are not counted.
    weights : dict of str to tensor
        Best weights, stacked, (S T, ...), the target running fastest.
    """

    seeds: list
    score: np.ndarray
    checkpoints: np.ndarray
    scores: np.ndarray
    evaluations: int
    weights: dict
    replicas: Replicas

    def block(self, seed_index=0, target_index=0):
        """The `Block` with the best weights of one seed and target, counted from 0."""
        seeds, targets = self.score.shape
        seed_index = integer_between("seed_index", seed_index, 0, seeds - 1)
        target_index = integer_between("target_index", target_index, 0, targets - 1)
        return self.replicas.block(seed_index * targets + target_index)

    def vectors(self):
        """The normalised states, (S, T, 2^N) complex128, for at most 20 sites."""
        return self.replicas.vectors().reshape(*self.score.shape, -1)


class Training:
    """Adam on R replicas at once, which may stop and go on.

    Parameters
    ----------
    build, steps, learning_rate, penalty
        See `train`.
    task : FullSum, Energy or Sampled
        With R targets, one a replica, or one target for all.
    seeds : sequence of R int
        First weights; replicas with equal seeds start equal.

    Notes
    -----
    Adam: Kingma and Ba, arXiv:1412.6980. A replica's steps depend on no other replica,
    but for the samples of `Sampled`, which the first seed draws for all.
    """

    def __init__(
        self, build, task, *, seeds, steps, learning_rate=LEARNING_RATE, penalty=0.0
    ):
        self.task = task
        self.steps = positive_integer("steps", steps)
        self.learning_rate = number_between(
            "learning_rate", learning_rate, 0, np.inf, open_low=True
        )
        self.penalty = number_between("penalty", penalty, 0, np.inf)
        if self.penalty and task.renyi2 is None:
            allowed = "0 where R₂ of the target is not known"
            raise ValueError(f"penalty: got {penalty}; allowed: {allowed}")
        seeds = [int(seed) for seed in seeds]
        if task.replicas not in (1, len(seeds)):
            allowed = f"1 or {len(seeds)} targets"
            raise ValueError(f"task: got {task.replicas} targets; allowed: {allowed}")
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.replicas = Replicas(build, generators)
        if self.replicas.num_sites != task.num_sites:
            got = f"a block of {self.replicas.num_sites} sites"
            raise ValueError(f"build: got {got}; allowed: {task.num_sites} sites")
        self.replicas.to(task.device)
        self.generator = torch.Generator().manual_seed(seeds[0])
        self.restart()

    def restart(self):
        """Forget the optimiser's moments and all scores; keep the weights."""
        self.step = 0
        self.adam = Adam(self.replicas.weights, rates=self.replicas.rates)
        self.checkpoints, self.scores = [], []
        count = len(self.replicas)
        self.score = torch.full((count,), torch.inf, dtype=torch.float64)
        self.best = self.replicas.state_dict()

    def advance(self, stop, callback=None):
        """Train up to step `stop`, at most `steps`."""
        stop = integer_between("stop", stop, self.step, self.steps)
        spacing = max(SPACING, self.steps // CHECKPOINTS)
        while self.step < stop:
            self._take_step()
            if self.step % spacing == 0 or self.step == self.steps:
                self._check()
            if callback is not None:
                callback(self.step, self)

    def _take_step(self):
        batch = self.task.batch("all", self.generator, self.replicas.log_psi)
        values = self.replicas.log_psi(batch.spins)  # (R, configs)
        loss = self.task.loss(batch, values)  # (R,)
        if self.task.logarithmic:
            loss = torch.log(loss + ROUNDING)
        if self.penalty:
            excess = entanglement_penalty(values, self.task.renyi2)
            loss = loss + self.penalty * excess
        weights = self.replicas.weights
        gradients = torch.autograd.grad(
            loss.sum(), list(weights.values()), materialize_grads=True
        )
        rate = self.learning_rate * schedule(self.step / self.steps)
        self.adam.step(weights, gradients, rate)
        self.step += 1

    @torch.no_grad()
    def score_now(self):
        """The task's score of the weights as they are, (R,); draws nothing."""
        generator = torch.Generator().set_state(self.generator.get_state())
        batch = self.task.batch("all", generator, self.replicas.log_psi)
        return self.task.score(batch, self.replicas.log_psi(batch.spins)).cpu()

    def _check(self):
        """Take the scores, and the weights of replicas that never scored better."""
        score = self.score_now()
        self.checkpoints.append(self.step)
        self.scores.append(score)
        better = score < self.score
        self.score = torch.where(better, score, self.score)
        for name, weight in self.replicas.weights.items():
            mask = better.to(weight.device).reshape(-1, *[1] * (weight.ndim - 1))
            self.best[name] = torch.where(mask, weight.detach(), self.best[name])

    def trained(self, seeds):
        """What was found, the replicas being seeds × targets."""
        shape = (len(seeds), -1)
        step_cost = evaluations_a_step(self.replicas.template, self.task)
        best = dict(self.best)
        return Trained(
            seeds=seeds,
            score=self.score.reshape(shape).numpy(),
            checkpoints=np.array(self.checkpoints),
            scores=np.array([score.reshape(shape).numpy() for score in self.scores]),
            evaluations=self.step * step_cost,
            weights=best,
            replicas=Replicas.of(self.replicas.template, best),
        )


def schedule(progress):
    """Share of the learning rate, `progress` in [0, 1) of the steps.

    Half a cosine from one to nought, times a rise from 5 % over the first fifth.
    """
    rise = min(1.0, 0.05 + progress / WARM_UP)
    return rise * 0.5 * (1 + np.cos(np.pi * progress))


def evaluations_a_step(block, task):
    """Evaluations of one training step: blocks × configurations of the part "all"."""
    blocks = len(block.blocks) if isinstance(block, Product) else 1
    return blocks * task.cost("all")


def seed_list(seeds):
    """Seeds as a list of int, refused by name unless one or several integers >= 0."""
    listed = [seeds] if np.ndim(seeds) == 0 else list(seeds)
    if not listed:
        raise ValueError(f"seeds: got {seeds!r}; allowed: at least one integer >= 0")
    return [integer_between("seeds", seed, 0, 2**63 - 1) for seed in listed]


def checked_task(task):
    """`task`, refused by name unless it has what a training asks of it."""
    if not hasattr(task, "logarithmic"):
        allowed = "FullSum(target), Energy(hamiltonian) or Sampled(chain target)"
        raise ValueError(f"task: got {type(task).__name__}; allowed: {allowed}")
    return task


def check_callable(name, value):
    """Refuse by name what is neither None nor can be called."""
    if not (value is None or callable(value)):
        raise ValueError(f"{name}: got {value!r}; allowed: a callable or None")
