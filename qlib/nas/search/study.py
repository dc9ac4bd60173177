"""What is searched: architectures of some blocks, for a task, from some seeds."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement

import torch

from qlib.nas.blocks import Product
from qlib.nas.replicas import Replicas
from qlib.nas.supernet import SCHEMES as SUPERNETS
from qlib.nas.tasks.batch import PARTS
from qlib.nas.training import Training


def all_architectures(names, slots):
    """Sorted tuples of `slots` names, repeats allowed: a product commutes."""
    return list(combinations_with_replacement(sorted(names), slots))


@dataclass(frozen=True, eq=False)
class Study:
    """The arguments of a search; replica r is seed r // T and target r % T of T."""

    task: object
    blocks: dict
    scheme: str
    budget: int
    seeds: list
    slots: int
    steps: int
    penalty: float
    learning_rate: float

    @cached_property
    def architectures(self):
        """All of them, in the order in which ties are broken."""
        return all_architectures(self.blocks, self.slots)

    @property
    def num_replicas(self):
        """Seeds × targets."""
        return len(self.seeds) * self.task.replicas

    def seed(self, replica):
        """The seed of a replica."""
        return self.seeds[replica // self.task.replicas]

    @property
    def step_cost(self):
        """Evaluations of a step of one architecture."""
        return self.slots * self.task.cost("all")

    @property
    def full_cost(self):
        """Evaluations of training one architecture in full."""
        return self.steps * self.step_cost

    def builder(self, architecture):
        """The constructor of an architecture: the product of its blocks."""

        def build(*, generator):
            return Product(
                [self.blocks[name](generator=generator) for name in architecture]
            )

        return build

    def block(self, architecture, weights):
        """The `Product` of an architecture with given weights."""
        block = self.builder(architecture)(generator=torch.Generator().manual_seed(0))
        block.load_state_dict(weights, strict=False)
        return block

    def training(self, architecture, replicas, steps=None):
        """The `Training`, not begun, of an architecture for some replicas."""
        task = self.task
        if task.replicas > 1:
            task = task.select([replica % task.replicas for replica in replicas])
        return Training(
            self.builder(architecture),
            task,
            seeds=[self.seed(replica) for replica in replicas],
            steps=self.steps if steps is None else steps,
            learning_rate=self.learning_rate,
            penalty=self.penalty,
        )

    @torch.no_grad()
    def fingerprint(self):
        """Hash of the settings and of every block's first losses and scores.

        To nine digits, on every target and on all parts that the scheme uses, they
        stand for the targets, the task and the blocks' sizes and first weights.
        """
        fields = (self.scheme, self.budget, self.seeds, self.slots, self.steps)
        words = [repr((*fields, self.penalty, self.learning_rate))]
        for name in sorted(self.blocks):
            generators = [
                torch.Generator().manual_seed(1) for _ in range(self.task.replicas)
            ]
            replicas = Replicas(self.blocks[name], generators).to(self.task.device)
            words += [name, repr(replicas.rates)]
            for part in PARTS if self.scheme in SUPERNETS else ("all",):
                draws = torch.Generator().manual_seed(1)
                batch = self.task.batch(part, draws, replicas.log_psi)
                log_psi = replicas.log_psi(batch.spins)
                for value in (self.task.loss, self.task.score):
                    words += [f"{x:.8e}" for x in value(batch, log_psi).tolist()]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]
