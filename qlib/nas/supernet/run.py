"""One training of a supernet, step by step."""

from functools import partial

import numpy as np
import torch

from qlib.nas.adam import Adam
from qlib.nas.replicas import checked_blocks
from qlib.nas.supernet import relaxations
from qlib.nas.supernet.mixture import Supernet, mix, one_hot
from qlib.nas.tasks.renyi import entanglement_penalty
from qlib.nas.training import schedule, seed_list

CHECKPOINTS = 20  # of the trace
FLOOR = 1e-12  # added to an infidelity before its logarithm
DECAY = (0.5, 0.999)  # of the architecture's moments, as DARTS has them


class Run:
    """A supernet, its architecture parameters and two optimisers; see `train_supernet`.

    Attributes
    ----------
    net : Supernet
    logits : (R, S, K) tensor
        Architecture parameters, zero at the start.
    allowed : (R, S, K) bool tensor
        Candidates still in the race; one a slot once that is decided.
    evaluations : int
        Spent so far, a replica.
    """

    def __init__(self, blocks, task, *, scheme, seeds, slots, steps, penalty, settings):
        seeds = [seed for seed in seed_list(seeds) for _ in range(task.replicas)]
        if penalty and task.renyi2 is None:
            raise ValueError(
                f"penalty: got {penalty}; allowed: 0 where the target's R₂ is not known"
            )
        blocks = checked_blocks(blocks, task.num_sites)
        self.net = Supernet(blocks, seeds=seeds, slots=slots)
        self.net.to(task.device)
        several = list(range(task.replicas)) * (len(seeds) // task.replicas)
        self.task = task.select(several) if task.replicas > 1 else task
        self.scheme, self.settings = scheme, settings
        self.steps, self.penalty = steps, penalty
        shape = (len(seeds), self.net.slots, len(blocks))
        device = task.device
        self.logits = torch.zeros(shape, dtype=torch.float64, device=device)
        self.logits.requires_grad_()
        self.allowed = torch.ones(shape, dtype=torch.bool, device=device)
        weights, architecture = self.net.weights, {"": self.logits}
        self.learnt = {
            "weights": (weights, Adam(weights, rates=self.net.rates)),
            "architecture": (architecture, Adam(architecture, decay=DECAY)),
        }
        self.seed = seeds[0]
        self.done = 0
        self.noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.thirds = 0  # of an evaluation
        self.trace = []

    def advance(self, callback=None):
        """Train to the end and decide every slot."""
        stages = decisions(self.scheme, self.net.slots, self.steps)
        spacing = max(1, self.steps // CHECKPOINTS)
        while self.done < self.steps:
            for slot in np.flatnonzero(stages == self.done):
                self.decide(slot)
            temperature, loss = self.temperature(), self._step()
            self.done += 1
            if self.done % spacing == 1 % spacing and self.done < self.steps:
                self._note(temperature, loss)
            if callback is not None:
                callback(self.done, self)
        self.relaxed = self.shares()
        for slot in np.flatnonzero(stages == self.steps):
            self.decide(slot)
        self._note(temperature, loss)

    @property
    def progress(self):
        """Share of the steps done."""
        return self.done / self.steps

    def temperature(self):
        """Of the Gumbel-softmax; 1 in other schemes."""
        if self.scheme != "gumbel":
            return 1.0
        return self.settings.temperature(self.progress)

    @property
    def evaluations(self):
        """A replica; without gradient one is worth a third."""
        return -(-self.thirds // 3)

    def shares(self):
        """Probability of each candidate, (R, S, K)."""
        return relaxations.probabilities(self.logits.detach(), self.allowed)

    def picks(self):
        """Most probable candidate of each slot, (R, S)."""
        return self.shares().argmax(-1)

    @torch.no_grad()
    def score(self, gates):
        """The task's score of the mixture with these gates, (R,)."""
        batch = self._batch("all", self._mixture(gates))
        return self.task.score(batch, mix(self.net.outputs(batch.spins), gates)).cpu()

    @torch.no_grad()
    def decide(self, slot):
        """Keep the candidate of a slot without which the loss rises most.

        The gates of the others are scaled up to sum to one again.
        """
        batch, outputs = self._evaluated("architecture", self.shares())
        losses = []
        for k in range(self.allowed.shape[-1]):
            without = self.allowed.clone()
            without[:, slot, k] = False
            gates = relaxations.probabilities(self.logits, without)
            losses.append(self._loss(batch, mix(outputs, gates)))
        kept = torch.stack(losses).argmax(0)  # (R,)
        self.allowed[:, slot] = one_hot(kept, self.allowed.shape[-1]).bool()

    def _step(self):
        rate = self.settings.learning_rate * schedule(self.progress)
        loss = self._update("weights", rate)
        if self.done >= warm_up(self.settings, self.steps):
            self._update("architecture", self.settings.architecture_rate)
        return loss

    def _update(self, part, rate):
        """One step of Adam on weights or architecture; the loss before it, (R,)."""
        tensors, adam = self.learnt[part]
        gates = self._gates()
        of_weights = part == "weights"
        loss = self._relaxed(part, gates, self._loss, of_weights)
        if self.penalty:
            loss = loss + self._relaxed("all", gates, self._penalty, of_weights)
        gradients = torch.autograd.grad(
            loss.sum(), list(tensors.values()), materialize_grads=True
        )
        adam.step(tensors, gradients, rate)
        return loss.detach()

    def _gates(self):
        """Gates with gradients to the architecture parameters, (R, S, K)."""
        if self.scheme != "gumbel":
            return relaxations.probabilities(self.logits, self.allowed)
        noise = relaxations.gumbel(self.logits.shape, self.noise).to(self.logits.device)
        return relaxations.straight_through(
            self.logits, self.allowed, noise, self.temperature()
        )

    def _relaxed(self, part, gates, loss, of_weights):
        """A loss on a part as the scheme relaxes it, (R,).

        Without gradients to the weights unless `of_weights`; with them, "gumbel"
        evaluates the sampled candidates alone.
        """
        if self.scheme == "gumbel" and of_weights:
            sampled = partial(self.net.picked, picks=gates.argmax(-1))
            batch = self._batch(part, sampled)
            self.thirds += 3 * self.net.slots * self.task.cost(part)
            return loss(batch, sampled(batch.spins))
        with torch.set_grad_enabled(of_weights):
            batch, outputs = self._evaluated(part, gates)
        if self.scheme == "expected":
            return relaxations.expected_loss(outputs, gates, partial(loss, batch))
        return loss(batch, mix(outputs, gates))

    def _evaluated(self, part, gates):
        batch = self._batch(part, self._mixture(gates))
        outputs = self.net.outputs(batch.spins)
        worth = 3 if torch.is_grad_enabled() else 1
        self.thirds += worth * outputs[:, :, 0, 0].numel() * self.task.cost(part)
        return batch, outputs

    def _batch(self, part, log_psi):
        """The parts of one step are drawn with one seed: two halves of one draw."""
        seed = np.random.SeedSequence([self.seed, self.done]).generate_state(1)[0]
        generator = torch.Generator().manual_seed(int(seed))
        return self.task.batch(part, generator, log_psi)

    def _mixture(self, gates):
        """log psi of the mixture with these gates, spins -> (R, C)."""
        gates = gates.detach()
        return lambda spins: mix(self.net.outputs(spins), gates)

    def _loss(self, batch, values):
        loss = self.task.loss(batch, values)
        if self.task.logarithmic and self.settings.logarithmic:
            return torch.log(loss + FLOOR)
        return loss

    def _penalty(self, batch, values):
        return self.penalty * entanglement_penalty(values, self.task.renyi2)

    def _note(self, temperature, loss):
        shares = self.shares()
        entropy = -torch.special.xlogy(shares, shares).sum((-1, -2))
        columns = (self.done, shares.cpu(), entropy.cpu(), temperature, loss.cpu())
        self.trace.append([np.asarray(column) for column in columns])


def decisions(scheme, slots, steps):
    """Step before which each slot is decided, (S,); never in most schemes."""
    if scheme != "perturbation":
        return np.full(slots, steps + 1)
    return np.linspace(steps // 2 if slots > 1 else steps, steps, slots).astype(int)


def warm_up(settings, steps):
    """Steps in which the weights alone are trained."""
    return int(settings.warm_up * steps)
