"""The drop-in module: nn.MultiheadAttention with any backend."""

import torch
from torch import nn

from qlib.attention.arguments import check_generator_type
from qlib.attention.module.arguments import check_inputs
from qlib.attention.module.conventions import attention_masks
from qlib.attention.module.groups import attend, head_groups, known_backend
from qlib.attention.module.heads import join, project
from qlib.attention.module.nested import pad_nested, past_end, repack


class QuantumMultiheadAttention(nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention` whose attention is any backend of qlib.

    Parameters, names and layout of the weights are those of the parent, so that
    `state_dict` and strict loading work both ways.

    Parameters
    ----------
    embed_dim, num_heads, dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim : \
batch_first, device, dtype
        As the parent takes them, with its defaults.
    backend : str or sequence of str
        As in `quantum_attention`, or one for each head. ``"auto"``, the default, is
        exact.
    backend_options : dict or sequence of dict, optional
        Options of the backend. With several backends one dict gives each option to
        those heads whose backend takes it. Modules among the values (trainable
        encodings) become submodules, and their parameters join `state_dict`.
    generator : torch.Generator, optional
        Of stochastic backends and of dropout, on the device of the inputs; by default
        torch's own. Copies of the module, `nn.TransformerEncoder`'s layers among
        them, get copies that draw the same numbers: `set_backend` gives one to all.

    Attributes
    ----------
    backend, backend_options, generator
        As given. `set_backend` checks names of backends and options and the type of
        the generator at once; values of options, and what is set by hand, are checked
        at the next call.

    Raises
    ------
    TypeError, ValueError
        For a backend or an option that does not exist, and for what is no generator,
        by name.

    Notes
    -----
    In two cases the parent contradicts itself, and this module does not: a query
    without keys has attention 0 (the parent: NaN with weights, 0 or NaN without), and
    `is_causal` without a mask is causal (the parent refuses it, or ignores it in
    `eval`). Where `is_causal` is hinted with a mask, the hint is believed and the mask
    not read. Backends that are not exact look at the content of masks, for a causal
    one, or padding that `nn.TransformerEncoder` turned into floats; not under
    `torch.compile` and `torch.export`, which cannot branch on it.

    With an exact backend the module compiles in one graph and exports for given
    lengths. A stochastic one compiles too, in parts where it branches on content or
    has a `generator` of its own. TorchScript, empty inputs and `dropout` 1 are not
    supported.

    `nn.TransformerEncoderLayer` in `eval` without gradients runs a fused kernel on the
    weights of its attention and never calls it, unless a hook is attached: the no-op
    `keep_forward` is one.
    """

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
        *,
        backend="auto",
        backend_options=None,
        generator=None,
    ):
        super().__init__(
            embed_dim,
            num_heads,
            dropout=dropout,
            bias=bias,
            add_bias_kv=add_bias_kv,
            add_zero_attn=add_zero_attn,
            kdim=kdim,
            vdim=vdim,
            batch_first=batch_first,
            device=device,
            dtype=dtype,
        )
        self.register_forward_pre_hook(keep_forward)
        self.set_backend(backend, backend_options, generator=generator)

    def set_backend(self, backend, backend_options=None, *, generator=None):
        """Attend by another backend; the arguments are those of the constructor.

        Options come in one dict; the function `qlib.attention.module.set_backend`, for
        whole models, takes them as keywords.
        """
        options = {} if backend_options is None else backend_options
        check_generator_type(generator)
        groups = head_groups(backend, options, self.num_heads)
        self.backend, self.backend_options = backend, options
        self.generator = generator
        self.encodings = option_modules(groups)

    def extra_repr(self):
        """The backend, for `print`."""
        return f"backend={self.backend!r}"

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        """Attend; arguments, shapes and conventions are those of the parent.

        Parameters
        ----------
        query, key, value : tensor
            (length, batch, dim), (batch, length, dim) under `batch_first`, unbatched
            (length, dim), or nested without masks, as `nn.TransformerEncoder` makes.
        key_padding_mask : (batch, key) tensor, (key,) if unbatched, or None
            True where a key is padding, or a float added to the logits.
        need_weights : bool
            Return the weights that were used.
        attn_mask : (query, key) or (batch * head, query, key) tensor, or None
            True where a pair is shut, or a float added to the logits.
        average_attn_weights : bool
            The mean over heads instead of each head's.
        is_causal : bool
            A hint that `attn_mask` is the causal one, which may then be None; without
            weights nothing of (query, key) is built by an exact backend.

        Returns
        -------
        output : tensor
            In the layout of `query`.
        weights : (batch, query, key) or (batch, head, query, key) tensor, or None
            Without the first axis if unbatched.
        """
        if any(getattr(each, "is_nested", False) for each in (query, key, value)):
            return self.forward_nested(
                query,
                key,
                value,
                masks=(key_padding_mask, attn_mask),
                need_weights=need_weights,
                average_attn_weights=average_attn_weights,
                is_causal=is_causal,
            )
        check_inputs(self, query, key, value, attn_mask, key_padding_mask)
        output, weights = self.attended(
            *project(self, query, key, value),
            attn_mask,
            key_padding_mask,
            is_causal=bool(is_causal),
            need_weights=bool(need_weights),
        )  # (batch, head, query, head dim), (batch, head, query, key)
        batched = query.dim() == 3
        joined = join(output, batched=batched, batch_first=self.batch_first)
        if weights is not None:
            weights = weights.mean(dim=1) if average_attn_weights else weights
            weights = weights if batched else weights[0]
        return self.out_proj(joined), weights

    def attended(
        self, q, k, v, attn_mask, key_padding_mask, *, is_causal, need_weights
    ):
        """Outputs and weights of all heads, under PyTorch's masks of this module."""
        groups = head_groups(self.backend, self.backend_options, self.num_heads)
        attn_mask, key_padding_mask, is_causal = attention_masks(
            attn_mask,
            key_padding_mask,
            is_causal,
            **self.mask_shape(q, k, groups),
            need_weights=need_weights,
        )
        return attend(
            q,
            k,
            v,
            groups,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            dropout_p=self.dropout if self.training else 0.0,
            generator=self.generator,
            need_weights=need_weights,
        )

    def mask_shape(self, q, k, groups):
        """What `attention_masks` must know of a call."""
        added = int(self.bias_k is not None) + int(self.add_zero_attn)
        exact = all(known_backend(name).exact for _, name, _ in groups)
        return {
            "batch": q.shape[0],
            "heads": q.shape[1],
            "queries": q.shape[2],
            "keys": k.shape[2] - added,
            "added": added,
            "device": q.device,
            "look": not (exact or torch.compiler.is_compiling()),
        }

    def forward_nested(self, query, key, value, *, masks, need_weights, **settings):
        """`forward` of nested tensors: padded, masked, and nested again."""
        if any(mask is not None for mask in masks):
            raise ValueError(
                "attn_mask, key_padding_mask: got one with nested tensors; allowed: "
                "None, their lengths are the mask"
            )
        if not self.batch_first:
            raise ValueError(
                "query: got a nested tensor; allowed with batch_first=True only"
            )
        (query, lengths), (key, seen), (value, _) = pad_nested(query, key, value)
        output, weights = self.forward(
            query,
            key,
            value,
            key_padding_mask=past_end(key, seen),
            need_weights=need_weights,
            **settings,
        )
        if weights is not None:
            past = past_end(query, lengths).unflatten(1, (-1, 1))
            past = past if weights.dim() == 3 else past[:, None]
            weights = weights.masked_fill(past, 0)  # (batch, [head,] query, key)
        return repack(output, lengths), weights


def option_modules(groups):
    """Modules among the options as a ModuleList, each once; None without any."""
    found = {
        id(value): value
        for _, _, options in groups
        for value in options.values()
        if isinstance(value, nn.Module)
    }
    return nn.ModuleList(found.values()) if found else None


def keep_forward(module, arguments):
    """A forward pre-hook that does nothing but keep `forward` from being bypassed."""
