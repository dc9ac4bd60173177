"""Every block alone on every target, beside the bound that entanglement sets."""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.nas.screen import screen
from qlib.nas.spins import all_configurations
from qlib.nas.targets import Target
from qlib.nas.tasks import FullSum
from qlib.nas.training import train

ROUNDING = 1e-12  # of an infidelity; a bound below it excludes nothing
REACHED = 1e-2  # infidelity below which a target counts as represented


@dataclass(frozen=True, eq=False)
class Solo:
    """Infidelities of blocks trained alone, and what they cannot fall below.

    Attributes
    ----------
    targets, blocks : tuples of str
    num_sites : int
    entropy : (T,) array
        Of the targets' half chains, nats.
    parameters : (B,) int array
        Real numbers trained.
    infidelity : (T, B, S) array
        1 − F by full sum, best of each run's checkpoints, of S seeds.
    bound : (T, B) array
        Of `screen`: 0 where the capacity is not the limit.
    ruled : dict
        Target to (B, S) infidelities of the blocks with the Marshall sign rule, for
        each target whose Hamiltonian is a bipartite antiferromagnet.
    evaluations : int
        Of each run.
    """

    targets: tuple
    blocks: tuple
    num_sites: int
    entropy: np.ndarray
    parameters: np.ndarray
    infidelity: np.ndarray
    bound: np.ndarray
    ruled: dict
    evaluations: int

    @property
    def median(self):
        """Median infidelity over seeds, (T, B)."""
        return np.median(self.infidelity, axis=-1)

    @property
    def best(self):
        """Name of the block with the least median infidelity, one a target."""
        return tuple(self.blocks[place] for place in self.median.argmin(axis=1))

    @property
    def margin(self):
        """Least infidelity minus bound of all runs: below −1e-12, the bound is broken.

        Returns
        -------
        float
        """
        runs = [self.infidelity - self.bound[..., None]]
        for target, scores in self.ruled.items():
            bound = self.bound[self.targets.index(target)]
            runs.append((scores - bound[:, None])[None])
        return float(min(difference.min() for difference in runs))

    @property
    def allowed(self):
        """Whether the bound lets the block reach an infidelity of 1e-2, (T, B) bool."""
        return self.bound <= REACHED

    @property
    def reached(self):
        """Share of seeds that reach an infidelity of 1e-2, (T, B)."""
        return (self.infidelity <= REACHED).mean(axis=-1)

    def rows(self):
        """What is recorded: (metric, value, labels) of every block on every target."""
        for i, target in enumerate(self.targets):
            for j, block in enumerate(self.blocks):
                labels = {"target": target, "block": block, "sites": self.num_sites}
                yield "infidelity", self.median[i, j], labels
                yield "bound on the infidelity", self.bound[i, j], labels
                if target in self.ruled:
                    score = np.median(self.ruled[target][j])
                    yield "infidelity", score, labels | {"signs": "Marshall"}


def solo(targets, blocks, *, seeds, steps, callback=None):
    """Train every block alone on every target, with each target's bound.

    Parameters
    ----------
    targets : dict of str to Target
        Of one N ≤ 14; see `targets.seven`.
    blocks : dict of str to callable
        Name to build(generator=...) -> `Block`; see `candidates`.
    seeds : sequence of int
    steps : int
        Of training, on all 2^N configurations each.
    callback : callable, optional
        callback(done, block) after each block, `done` of len(blocks).

    Returns
    -------
    Solo

    Raises
    ------
    ValueError
        If there is no block or no target, or their numbers of sites differ.

    Notes
    -----
    All targets and seeds of a block are trained at once. The sign rule is taken to the
    target, which is the same: it is diagonal and real. Cost: blocks × (targets + those
    with the rule) × seeds × steps × 2^N evaluations.
    """
    if not blocks:
        raise ValueError("blocks: got none; allowed: at least one")
    signed = [name for name, one in targets.items() if bipartite(one.hamiltonian)]
    asked = [*targets.values(), *(_without_signs(targets[name]) for name in signed)]
    task = FullSum(asked)
    runs, bound, parameters = [], [], []
    for done, (name, build) in enumerate(blocks.items(), start=1):
        block = build(generator=torch.Generator().manual_seed(0))
        parameters.append(block.num_parameters)
        bound.append([screen(one.spectra(), block) for one in targets.values()])
        trained = train(build, task, seeds=seeds, steps=steps)
        runs.append(trained.score.T)  # (targets, seeds)
        if callback is not None:
            callback(done, name)
    runs = np.stack(runs, axis=1)  # (targets, blocks, seeds)
    return Solo(
        targets=tuple(targets),
        blocks=tuple(blocks),
        num_sites=task.num_sites,
        entropy=np.array([one.features().entropy for one in targets.values()]),
        parameters=np.array(parameters),
        infidelity=runs[: len(targets)],
        bound=np.array(bound).T,
        ruled=dict(zip(signed, runs[len(targets) :], strict=True)),
        evaluations=trained.evaluations,
    )


def _without_signs(target):
    """The target times Marshall's signs: as far from a block as it from one with them.

    |<phi| sign psi>|² = |<sign phi| psi>|², the signs being real and diagonal.
    """
    spins = all_configurations(target.num_sites).numpy()
    down = (spins[:, 1::2] < 0).sum(axis=1)
    return Target(f"{target.name}, Marshall", (-1.0) ** down * target.vector)


def bipartite(hamiltonian):
    """Whether Marshall's rule gives all signs of the ground state in the basis of Z.

    True for Σ J_ij (X_i X_j + Y_i Y_j) + anything diagonal, J_ij ≥ 0 between even and
    odd sites and not all zero (Lieb and Mattis, J. Math. Phys. 3, 749, 1962).

    Parameters
    ----------
    hamiltonian : PauliSum or None
    """
    if hamiltonian is None:
        return False
    exchange = {"XX": {}, "YY": {}}
    for letters, sites, coefficient in hamiltonian.terms:
        if set(letters) <= {"Z"}:
            continue
        across = len(sites) == 2 and (sites[0] + sites[1]) % 2 == 1
        if letters not in exchange or not across or coefficient < 0:
            return False
        exchange[letters][sites] = coefficient
    return bool(exchange["XX"]) and exchange["XX"] == exchange["YY"]
