"""A small causal language model over bytes, built on the drop-in attention module."""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad

from qlib.attention.language.arguments import check_sizes
from qlib.attention.module import replace_attention


def sinusoids(positions, width):
    """Fixed position codes of Vaswani et al. (2017), any position, no table.

    Parameters
    ----------
    positions : (length,) integer tensor
    width : int
        Even.

    Returns
    -------
    (length, width) tensor
    """
    rates = torch.exp(
        torch.arange(0, width, 2, device=positions.device)
        * (-math.log(10_000.0) / width)
    )
    angles = positions[:, None] * rates  # (length, width / 2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


class LanguageModel(nn.Module):
    """Pre-norm transformer decoder over bytes with fixed position codes.

    A causal convolution mixes each byte with those just before it, so that attention
    is left to what is further away. Attention is that of `QuantumMultiheadAttention`,
    exact until `set_backend` changes it; no mask of (length, length) is built.

    Parameters
    ----------
    width, heads, layers : int
        Model dimension, heads and blocks; the width is even, heads divide it.
    reach : int
        Bytes that the convolution sees, the present one included.
    vocabulary : int
        Symbols; 256, the default, are bytes.

    Raises
    ------
    ValueError
        For sizes that are not positive or do not fit together, by name.
    """

    def __init__(self, *, width=128, heads=2, layers=4, reach=6, vocabulary=256):
        super().__init__()
        check_sizes(width, heads, layers=layers, reach=reach, vocabulary=vocabulary)
        self.width = width
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.mixing = nn.Conv1d(width, width, reach)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                heads,
                4 * width,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        replace_attention(self)

    def forward(self, tokens, *, first_position=0):
        """Logits of the next byte at every position.

        Parameters
        ----------
        tokens : (batch, length) integer tensor
        first_position : int
            Of the first token, for windows out of a longer text.

        Returns
        -------
        (batch, length, vocabulary) tensor
        """
        length = tokens.shape[1]
        places = first_position + torch.arange(length, device=tokens.device)
        embedded = self.embedding(tokens.long()) * self.width**0.5
        padded = pad(embedded.transpose(1, 2), (self.mixing.kernel_size[0] - 1, 0))
        x = self.mixing(padded).transpose(1, 2) + sinusoids(places, self.width)
        for block in self.blocks:
            x = block(x, is_causal=True)
        return self.norm(x) @ self.embedding.weight.T


def nats(model, windows, *, first_position=0):
    """Cross-entropy of each byte of the windows after the first, in nats.

    Parameters
    ----------
    windows : (batch, length + 1) integer tensor

    Returns
    -------
    (batch, length) tensor
    """
    logits = model(windows[:, :-1], first_position=first_position)
    return cross_entropy(
        logits.transpose(1, 2), windows[:, 1:].long(), reduction="none"
    )
