"""Which agents stopped improving, and which of them jump.

Losses here are costs: smaller is better. Who maximises passes them negated.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Progress:
    """What each agent's own evaluations have shown. `vars` stores it."""

    smoothed: torch.Tensor  # (N,) float64, NaN before the first evaluation
    lowest: torch.Tensor  # (N,) float64, least smoothed loss so far, else inf
    count: torch.Tensor  # (N,) int64, evaluations in the smoothed loss
    age: torch.Tensor  # (N,) int64, own evaluations since the lowest

    @classmethod
    def start(cls, num_agents):
        """N agents that have not been evaluated."""
        return cls(
            smoothed=_full(num_agents, torch.nan, torch.float64),
            lowest=_full(num_agents, torch.inf, torch.float64),
            count=_full(num_agents, 0, torch.int64),
            age=_full(num_agents, 0, torch.int64),
        )


def note_losses(progress, losses, *, smoothing, rows):
    """The record after one evaluation of some agents.

    The smoothed loss is the exponential moving average with the bias of its start
    removed, Σₖ sᵏ Lₜ₋ₖ / Σₖ sᵏ, updated so that equal losses leave it exactly as it
    is. An agent's age falls to 0 where its smoothed loss falls below its lowest so
    far, and grows by one where not.

    Parameters
    ----------
    progress : `Progress`
    losses : (N,) float64 tensor
        Entries of agents that were not evaluated are ignored; agents whose loss is
        not finite stay as they are.
    smoothing : float
        s in [0, 1).
    rows : (N,) bool tensor
        The agents evaluated.

    Returns
    -------
    `Progress`
    """
    noted = rows & losses.isfinite()
    count = progress.count + noted
    share = (1 - smoothing) / (1 - smoothing ** count.double())
    old = torch.where(progress.count > 0, progress.smoothed, losses)
    smoothed = torch.where(noted, old + share * (losses - old), progress.smoothed)
    better = smoothed < progress.lowest
    age = torch.where(better, 0, progress.age + noted)
    lowest = torch.where(better, smoothed, progress.lowest)
    return Progress(smoothed=smoothed, lowest=lowest, count=count, age=age)


def forget(progress, rows):
    """The record with some agents, (N,) bool, as if never evaluated: after a jump."""
    return _replaced(progress, rows, Progress.start(len(rows)))


def copy_progress(progress, rows, source):
    """The record with some agents, (N,) bool, at the weights of agent `source`.

    They take its smoothed loss, which is also their lowest, and are of age 0.
    """
    there = Progress(
        smoothed=progress.smoothed[source],
        lowest=progress.smoothed[source].nan_to_num(torch.inf),
        count=progress.count[source],
        age=torch.zeros_like(progress.age[source]),
    )
    return _replaced(progress, rows, there)


def jumping(age, patience, alpha, generator, rows):
    """The agents that tunnel: those stagnating, each with probability sin²(α/2).

    Parameters
    ----------
    age : (N,) int64 tensor
        Own evaluations without improvement.
    patience : int
        An agent stagnates when its age is above this.
    alpha : (N,) float64 tensor
        Polar angles, radians.
    generator : `torch.Generator`
        N numbers are drawn whoever stagnates; nothing for one agent, which has no
        neighbours to return to and never jumps.
    rows : (N,) bool tensor
        The agents evaluated; no other one jumps.

    Returns
    -------
    (N,) bool tensor
    """
    if len(age) == 1:
        return torch.zeros_like(rows)
    draws = torch.empty_like(alpha).uniform_(generator=generator)
    return rows & (age > patience) & (draws < torch.sin(alpha / 2) ** 2)


def best_agent(losses, usable):
    """The index of the least loss among the usable agents, (N,) bool; None if none."""
    known = usable & ~losses.isnan()
    if not known.any():
        return None
    return int(torch.where(known, losses, torch.inf).argmin())


def _replaced(progress, rows, other):
    return Progress(
        **{
            name: torch.where(rows, getattr(other, name), getattr(progress, name))
            for name in ("smoothed", "lowest", "count", "age")
        }
    )


def _full(number, value, dtype):
    return torch.full((number,), value, dtype=dtype, device="cpu")
