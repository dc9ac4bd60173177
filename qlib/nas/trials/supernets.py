"""How supernets choose: architectures over time, and what making them one-hot costs."""

from dataclasses import dataclass

import numpy as np

from qlib.nas.blocks import Product
from qlib.nas.rules.rules import FLOOR
from qlib.nas.supernet import SCHEMES, train_supernet
from qlib.nas.tasks import FullSum
from qlib.nas.training import Training


@dataclass(frozen=True, eq=False)
class Supernets:
    """Supernets of several schemes, S seeds and T targets each.

    Attributes
    ----------
    targets : tuple of T str
    seeds : tuple of S int
    trained : dict of str to TrainedSupernet
        Replicas seed by seed, the target running fastest.
    alone : dict of str to (S, T) array
        log10 infidelity of the pick trained alone.
    """

    targets: tuple
    seeds: tuple
    trained: dict
    alone: dict

    @property
    def shape(self):
        """(S, T)."""
        return len(self.seeds), len(self.targets)

    def relaxed(self, scheme):
        """log10 infidelity of the mixture as trained, (S, T)."""
        return decades(self.trained[scheme].relaxed_score).reshape(self.shape)

    def shared(self, scheme):
        """log10 infidelity of the pick with the supernet's weights, (S, T)."""
        return decades(self.trained[scheme].score).reshape(self.shape)

    def gap(self, scheme):
        """Decades that shared weights are above the pick trained alone, (S, T)."""
        return self.shared(scheme) - self.alone[scheme]

    def shares(self, scheme, target, seed=0):
        """Probability of each candidate at the checkpoints, (C, slots, K)."""
        trace = self.trained[scheme].trace
        replica = seed * len(self.targets) + self.targets.index(target)
        return trace.shares[:, replica]

    def sharpness(self, scheme):
        """Probability of the most probable candidate at the end, mean over slots."""
        shares = self.trained[scheme].trace.shares[-1]
        return shares.max(-1).mean(-1).reshape(self.shape)

    def alike(self, scheme):
        """Share of pairs of seeds that pick one architecture, mean over targets."""
        picks = np.array(["; ".join(a) for a in self.trained[scheme].architectures])
        picks = picks.reshape(self.shape)
        first, second = np.triu_indices(len(self.seeds), 1)
        return float((picks[first] == picks[second]).mean())


def supernets(
    targets, blocks, *, schemes=SCHEMES, seeds, steps, alone_steps=400, slots=2
):
    """Train a supernet of each scheme, then what it picked, alone.

    Parameters
    ----------
    targets : dict of str to Target
    blocks : dict
        The candidates.
    schemes : sequence of str, optional
        Of `qlib.nas.supernet.SCHEMES`; all unless given.
    seeds : sequence of int
    steps : int
        Of the supernets.
    alone_steps : int, optional
        Of the pick; 400 unless given.
    slots : int, optional

    Returns
    -------
    Supernets
    """
    task, seeds = FullSum(list(targets.values())), tuple(seeds)
    trained, alone = {}, {}
    for scheme in schemes:
        found = train_supernet(
            blocks, task, scheme=scheme, seeds=seeds, steps=steps, slots=slots
        )
        trained[scheme] = found
        alone[scheme] = trained_alone(found, blocks, task, seeds, alone_steps)
    return Supernets(tuple(targets), seeds, trained, alone)


def trained_alone(found, blocks, task, seeds, steps):
    """log10 infidelity of each replica's pick trained alone, (S, T).

    Parameters
    ----------
    found : TrainedSupernet
    blocks : dict
    task : FullSum
    seeds : sequence of int
    steps : int
    """
    score = np.empty(len(found.architectures))
    for architecture in set(found.architectures):
        places = [i for i, a in enumerate(found.architectures) if a == architecture]
        training = Training(
            _builder(blocks, architecture),
            task.select([place % task.replicas for place in places]),
            seeds=[seeds[place // task.replicas] for place in places],
            steps=steps,
        )
        training.advance(steps)
        score[places] = training.score
    return decades(score).reshape(len(seeds), task.replicas)


def rows(found):
    """Rows of the supernets: (metric, value, labels).

    Parameters
    ----------
    found : Supernets
    """
    for scheme, trained in found.trained.items():
        labels = {"scheme": scheme}
        yield "gap of shared weights, decades", found.gap(scheme).mean(), labels
        relaxed = found.relaxed(scheme) - found.shared(scheme)
        yield "rise on one-hot gates, decades", -relaxed.mean(), labels
        yield "entropy at the end, nats", trained.trace.entropy[-1].mean(), labels
        yield "probability of what is picked", found.sharpness(scheme).mean(), labels
        if len(found.seeds) > 1:
            yield "pairs of seeds that agree", found.alike(scheme), labels


def decades(score):
    """log10, of 1e-6 where that is larger."""
    return np.log10(np.maximum(np.asarray(score), FLOOR))


def _builder(blocks, architecture):
    def build(*, generator):
        return Product([blocks[name](generator=generator) for name in architecture])

    return build
