"""Which keys a query may see, held in parts so that no backend must build it whole."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Mask:
    """Causality, padding and a general mask of one call, made by `make_mask`.

    Attributes
    ----------
    is_causal : bool
        Query i sees keys j <= i only, aligned at the upper left as in PyTorch.
    keys : (batch, key) bool tensor or None
        True where a key takes part; None where all do.
    general : (1 or batch, 1 or head, 1 or query, key) tensor or None
        Added to the logits, -inf where a pair is excluded; in the logits' dtype.
    """

    is_causal: bool = False
    keys: torch.Tensor | None = None
    general: torch.Tensor | None = None

    @property
    def kinds(self):
        """The parts that are set, out of ``{"causal", "padding", "general"}``."""
        parts = {
            "causal": self.is_causal,
            "padding": self.keys is not None,
            "general": self.general is not None,
        }
        return frozenset(name for name, there in parts.items() if there)

    def rows(self, start, stop, key_length, *, like):
        """What to add to the logits of queries `start` to `stop` - 1.

        Parameters
        ----------
        start, stop, key_length : int
        like : tensor
            Of the dtype and device wanted.

        Returns
        -------
        (1 or batch, 1 or head, 1 or stop - start, key) tensor, or None
            0 or the given bias where a pair takes part, -inf where not; None where
            nothing is masked.
        """
        total = None
        if self.general is not None:
            part = self.general
            total = part if part.shape[2] == 1 else part[:, :, start:stop]
            total = total.to(like.dtype)
        if self.keys is not None:
            shut = torch.zeros(self.keys.shape, dtype=like.dtype, device=like.device)
            shut = shut.masked_fill_(~self.keys, -torch.inf)[:, None, None]
            total = shut if total is None else total + shut
        if self.is_causal:
            places = torch.arange(start, stop, device=like.device)[:, None]
            later = torch.arange(key_length, device=like.device) > places
            shut = torch.zeros(later.shape, dtype=like.dtype, device=like.device)
            shut = shut.masked_fill_(later, -torch.inf)
            total = shut[None, None] if total is None else total + shut
        return total

    def full(self, query_length, key_length, *, like):
        """`rows` of all queries."""
        return self.rows(0, query_length, key_length, like=like)


def make_mask(attn_mask, key_padding_mask, is_causal, dtype):
    """The parts of a mask under the conventions of PyTorch.

    Parameters
    ----------
    attn_mask : tensor or None
        As `torch.nn.functional.scaled_dot_product_attention` takes it, broadcast to
        (batch, head, query, key): True where a pair takes part, or a float added to
        the logits.
    key_padding_mask : (batch, key) bool tensor or None
        As `torch.nn.MultiheadAttention` takes it: True where a key is padding.
    is_causal : bool
    dtype : torch.dtype
        Of the logits.

    Returns
    -------
    Mask
    """
    general = attn_mask
    if general is not None:
        if general.dtype == torch.bool:
            general = torch.zeros_like(general, dtype=dtype).masked_fill_(
                ~general, -torch.inf
            )
        general = general.to(dtype)[(None,) * (4 - general.dim())]
    keys = None if key_padding_mask is None else ~key_padding_mask
    return Mask(bool(is_causal), keys, general)


def without_padding(x, mask):
    """`x` with 0 at the keys that are padding, so that nothing there is ever read.

    Parameters
    ----------
    x : (batch, head, key, dim) tensor
    mask : Mask

    Returns
    -------
    (batch, head, key, dim) tensor
    """
    return x if mask.keys is None else x.masked_fill(~mask.keys[:, None, :, None], 0.0)
