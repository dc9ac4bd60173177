"""Softmax attention with products in half precision."""

from dataclasses import replace

from qlib.attention.backend import ANY_MASK, Backend
from qlib.attention.exact import sdpa
from qlib.attention.exact.probe import fused_kernel_is_fast, half_dtype
from qlib.attention.exact.tiles import tiled


def attend(q, k, v, mask, *, scale, dropout_p, generator, need_weights):
    """softmax(scale q k^T + mask) v, both products in half precision.

    On CUDA and on a CPU with AMX this is PyTorch's fused kernel in half precision. On
    a CPU with AVX512-BF16 alone, whose products that kernel does not use, it is
    `qlib.attention.exact.tiles.tiled`, as it is everywhere with weights or dropout.
    A general mask there costs more than it does in float32: it is added in float32.

    Parameters
    ----------
    q, k, v, mask, scale, dropout_p, generator, need_weights
        See `qlib.attention.exact.math.attend`.

    Returns
    -------
    AttentionResult
        In the dtype of `q`, with the errors of half precision: 0.43 % relative
        Frobenius in bfloat16 on Gaussian tensors (512 keys, d = 64), 0.18 to 0.23 %
        on those of a language model.

    Raises
    ------
    ValueError
        If the processor has no fast half precision.
    """
    half = half_dtype(q.device)
    if half is None:
        raise ValueError(
            "backend: got 'mixed'; allowed on a processor with AVX512-BF16, AMX or CUDA"
        )
    if fused_kernel_is_fast(q.device) and not (need_weights or dropout_p):
        return fused(q, k, v, mask, scale, half)
    return tiled(
        q,
        k,
        v,
        mask,
        half,
        scale=scale,
        dropout_p=dropout_p,
        generator=generator,
        need_weights=need_weights,
    )


def fused(q, k, v, mask, scale, half):
    """PyTorch's fused kernel on tensors rounded to half precision."""
    sides = (each.to(half) for each in (q, k, v))
    result = sdpa.attend(
        *sides, mask, scale=scale, dropout_p=0.0, generator=None, need_weights=False
    )
    info = replace(result.info, backend="mixed")
    return replace(result, output=result.output.to(q.dtype), info=info)


MIXED = Backend(
    name="mixed",
    attend=attend,
    exact=True,
    stochastic=False,
    normalised=True,
    masks=ANY_MASK,
    dropout=True,
    differentiable=True,
    cost="4 n² d in half precision, half of it when causal",
    says="softmax attention with products in half precision, to its rounding",
)
