"""What a backend is, and what every attention returns."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

ANY_MASK = frozenset({"causal", "padding", "general"})


@dataclass(frozen=True, eq=False)
class Info:
    """What an attention spent and how sure it is.

    Attributes
    ----------
    backend : str
        Its name; for ``"auto"`` the one that was taken.
    kernel : str
        What computed it, in words, such as ``"SDPA, flash, CPU"``.
    dtype : torch.dtype
        Of the products of matrices.
    keys_touched : float
        Keys whose logit was formed, mean over queries.
    values_touched : float
        Values that were read, mean over queries; a pooled block counts as one.
    samples : (batch, head, query) integer tensor, or None
        Draws of each query; None where nothing is drawn.
    standard_error : tensor, or None
        Of each component of the output, of its shape; None where nothing is drawn.
    """

    backend: str
    kernel: str
    dtype: torch.dtype
    keys_touched: float
    values_touched: float
    samples: torch.Tensor | None = field(default=None, repr=False)
    standard_error: torch.Tensor | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class AttentionResult:
    """Output of an attention with the weights that made it.

    Attributes
    ----------
    output : (batch, head, query, value dim) tensor
        Of the dtype of the queries; 0 for a query that sees no key.
    weights : (batch, head, query, key) tensor, or None
        Those used, so that ``weights @ v`` is the output; None unless asked for.
    info : Info
    """

    output: torch.Tensor
    weights: torch.Tensor | None
    info: Info


@dataclass(frozen=True, eq=False)
class Backend:
    """One way to compute attention.

    Attributes
    ----------
    name : str
    attend : callable
        ``attend(q, k, v, mask, *, scale, dropout_p, generator, need_weights,
        **options) -> AttentionResult``, with 4-D tensors that were checked, `k` and
        `v` 0 at padding, a `Mask` and a `scale` that is a number. Its further keyword
        arguments are the options of the backend.
    exact : bool
        Whether it equals softmax attention up to rounding.
    stochastic : bool
        Whether it draws, reads `generator`, and returns a standard error.
    normalised : bool
        Whether its weights sum to 1 in every row, not in the mean only.
    masks : frozenset
        The kinds of mask it can honour, of `ANY_MASK`.
    dropout, differentiable : bool
        Whether `dropout_p` > 0 is supported; whether gradients reach q, k and v.
    cost : str
        Floating-point operations in n queries and keys, d dimensions and its options.
    says : str
        What it computes, in one line.
    """

    name: str
    attend: Callable
    exact: bool
    stochastic: bool
    normalised: bool
    masks: frozenset
    dropout: bool
    differentiable: bool
    cost: str
    says: str
