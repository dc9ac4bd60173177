"""One backend at one budget on queries and keys of any length and temperature."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from qlib.arguments import integer_between, number_between, one_of, positive_integer
from qlib.attention.attention import quantum_attention
from qlib.attention.profile import in_turns
from qlib.attention.trials.inputs import relative_errors
from qlib.attention.trials.samplers import SAMPLERS

WAYS = {
    # name in `qlib.workbook.plotting.METHODS`: backend and options at a budget
    **SAMPLERS,
    "Performer": lambda budget: ("performer", {"features": 2 * budget}),
    "local window": lambda budget: ("local_window", {"window": budget}),
}


@dataclass(frozen=True, eq=False)
class Played:
    """What one backend makes of one head.

    Attributes
    ----------
    name : str
        What the inputs are called.
    way : str
        One of `WAYS`.
    budget : int
        Values that a query may read; for a Performer half the features.
    temperature : float
        Divides the logits.
    exact, weights : (query, key) arrays
        Softmax, and what was used.
    error : float
        Of the output, relative, in the Frobenius norm.
    entropy : float
        Of the exact weights, mean over queries, nats.
    speed : (repeat,) array
        Seconds of PyTorch's kernel over those of this backend, in turns.
    """

    name: str
    way: str
    budget: int
    temperature: float
    exact: np.ndarray
    weights: np.ndarray
    error: float
    entropy: float
    speed: np.ndarray


def played(inputs, way, *, budget=32, length=None, temperature=1.0, seed=0, repeats=3):
    """Attend with the first head of the first layer by one backend.

    Parameters
    ----------
    inputs : Inputs
    way : str
        One of `WAYS`.
    budget : int
        1 or more; of it, `length` is used at most.
    length : int, optional
        Queries and keys taken from the start of `inputs`, 2 or more; by default all.
    temperature : float
        Above 0; 1 is the usual scale d^-1/2.
    seed : int
        Of the draws.
    repeats : int
        Turns of the clock.

    Returns
    -------
    Played
    """
    one_of("way", way, tuple(WAYS))
    length = inputs.length if length is None else length
    length = integer_between("length", length, 2, inputs.length)
    budget = min(positive_integer("budget", budget), length)
    number_between("temperature", temperature, 0, np.inf, open_low=True)
    cut = {name: getattr(inputs, name)[:1, :1, :length] for name in "qkv"}
    inputs = replace(inputs, **cut | {"q": cut["q"] / temperature})
    backend, options = WAYS[way](budget)

    def attended(backend, options, **settings):
        settings |= options | {"is_causal": inputs.is_causal}
        generator = torch.Generator().manual_seed(seed)
        tensors = (inputs.q, inputs.k, inputs.v)
        return quantum_attention(
            *tensors, backend=backend, generator=generator, **settings
        )

    exact = attended("math", {}, need_weights=True)
    found = attended(backend, options, need_weights=True)
    seconds = in_turns(
        {
            way: lambda: attended(backend, options),
            "sdpa": lambda: attended("sdpa", {}),
        },
        repeats,
    )
    own = np.array(seconds[way])
    return Played(
        inputs.name,
        way,
        budget,
        temperature,
        exact.weights[0, 0].numpy(),
        found.weights[0, 0].numpy(),
        relative_errors(found.output, exact.output).item(),
        torch.special.entr(exact.weights).sum(-1).mean().item(),
        np.array(seconds["sdpa"]) / own,
    )
