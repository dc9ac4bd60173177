"""Training of the small language model on text, the same for every seed and budget."""

import math
from dataclasses import dataclass

import torch

from qlib.arguments import number_between, positive_integer
from qlib.attention.language.arguments import check_text
from qlib.attention.language.model import LanguageModel, nats

POSITIONS = 8192  # windows start anywhere before, so that all positions are trained
DECAY = 0.6  # share of the steps, the last, in which the rates fall to 0
WARM_UP = 1 / 30  # share of the steps, the first, in which they rise


@dataclass(frozen=True)
class Stage:
    """Steps on windows of one length.

    Attributes
    ----------
    length : int
        Bytes predicted in a window, at most 8192.
    batch, steps : int
    """

    length: int
    batch: int
    steps: int


QUICK = (Stage(128, 4, 90),)
FULL = (Stage(256, 8, 320), Stage(1024, 4, 80), Stage(8192, 1, 10))


def pretrain(
    text,
    *,
    stages=FULL,
    matrix_rate=0.04,
    other_rate=3e-3,
    generator=None,
    callback=None,
    **shape,
):
    """Train a `LanguageModel` to predict the next byte.

    Matrices of the blocks follow Muon (orthogonalised momentum; Jordan et al., 2024),
    all other parameters AdamW: after 200 steps AdamW alone, a fifth cheaper a step, is
    0.2 bits per byte higher here. Rates rise, stay, and fall linearly to 0 over all
    stages together.

    Parameters
    ----------
    text : (bytes,) uint8 array
    stages : sequence of Stage
        `FULL` takes about four minutes of one thread, `QUICK` eight seconds.
    matrix_rate, other_rate : float
        Highest learning rates, chosen by the loss after 200 steps of 1024 bytes.
    generator : torch.Generator, optional
        Of first parameters and windows, on the CPU; by default torch's own.
    callback : callable, optional
        ``callback(step, loss)`` after each step, the loss in nats per byte.
    **shape
        Of the `LanguageModel`: its width, heads, layers and so on.

    Returns
    -------
    LanguageModel

    Raises
    ------
    TypeError, ValueError
        For a text that is no such array or shorter than a window, and for stages,
        rates and sizes of the model that are none or out of range.

    Notes
    -----
    Windows are drawn uniformly, their first position too, below 8192.
    """
    _check(stages, text)
    rates = (
        number_between("matrix_rate", matrix_rate, 0, math.inf, open_low=True),
        number_between("other_rate", other_rate, 0, math.inf, open_low=True),
    )
    text = torch.tensor(text, dtype=torch.long)
    model = _new_model(generator, shape)
    matrices = [p for p in model.blocks.parameters() if p.dim() == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    optimisers = (
        torch.optim.Muon(matrices, lr=rates[0], weight_decay=0.01),
        torch.optim.AdamW(rest, lr=rates[1], betas=(0.9, 0.95), weight_decay=0.0),
    )
    lengths = [(s.length, s.batch) for s in stages for _ in range(s.steps)]
    for step, (length, batch) in enumerate(lengths):
        windows, first = _draw(text, length, batch, generator)
        loss = nats(model, windows, first_position=first).mean()
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser, rate in zip(optimisers, rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * _share(step, len(lengths))
            optimiser.step()
        if callback is not None:
            callback(step, float(loss.detach()))
    return model


def _new_model(generator, shape):
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LanguageModel(**shape)


def _draw(text, length, batch, generator):
    """Windows of length + 1 bytes at random places, and their first position."""
    starts = torch.randint(len(text) - length, (batch,), generator=generator)
    first = int(torch.randint(POSITIONS - length + 1, (), generator=generator))
    return text[starts[:, None] + torch.arange(length + 1)], first


def _share(step, steps):
    """Rate over the highest rate."""
    return min(1.0, (step + 1) / (WARM_UP * steps), (steps - step) / (DECAY * steps))


def _check(stages, text):
    check_text(text)
    if not isinstance(stages, list | tuple) or not all(
        isinstance(stage, Stage) for stage in stages
    ):
        raise TypeError(f"stages: got {stages!r}; allowed: a sequence of Stage")
    for stage in stages:
        for name in ("length", "batch", "steps"):
            positive_integer(name, getattr(stage, name))
    if not stages or max(s.length for s in stages) > POSITIONS:
        raise ValueError(
            f"stages: got {stages}; allowed: at least one, lengths up to {POSITIONS}"
        )
    longest = max(s.length for s in stages)
    if len(text) <= longest:
        raise ValueError(
            f"text: got {len(text)} bytes; allowed: at least {longest + 1}, one window"
        )
