"""Queries and keys as states, and the logits that their kernel gives."""

import copy

import torch
from torch import nn

from qlib.arguments import integer_between, one_of
from qlib.attention.encoding.amplitude import Amplitude, qubits_for
from qlib.attention.encoding.fourier import Fourier
from qlib.attention.encoding.iqp import IQP, MOST_QUBITS
from qlib.attention.encoding.linear import Linear
from qlib.attention.encoding.multiscale import MultiScale
from qlib.attention.encoding.projection import Projection
from qlib.attention.exact.math import accumulation_dtype

ENCODINGS = ("amplitude", "multiscale", "iqp")
TWINS = ("fourier", "linear")


class Encoding(nn.Module):
    """Logits scale * dim * sharpness * kernel(map(x W), map(y W)).

    For bounded kernels the factor `dim` makes up for the norms that a state has lost:
    queries and keys of norm dim^1/2 have with amplitude encoding, W = 1 and sharpness
    1 the logits of plain attention.

    Parameters
    ----------
    projection : Projection or MultiScale
        The trainable part, with `heads`, `dim` and `width`.
    feature_map : Amplitude, IQP, Fourier or Linear
        ``feature_map(x)`` gives states, ``feature_map.kernel(bra, ket)`` their real
        kernel; it has no parameters.

    Attributes
    ----------
    log_sharpness : (heads, 1, 1) parameter
        0 at the start.
    """

    def __init__(self, projection, feature_map):
        super().__init__()
        if feature_map.width != projection.width:
            raise ValueError(
                f"feature_map: got width {feature_map.width}; allowed: that of the "
                f"projection, {projection.width}"
            )
        self.heads, self.dim = projection.heads, projection.dim
        self.projection = projection
        self.feature_map = feature_map
        self.log_sharpness = nn.Parameter(torch.zeros(self.heads, 1, 1))

    def states(self, x):
        """What a register is prepared in, (batch, head, length, dim) -> (..., size).

        Real for amplitudes and the classical twins, complex for IQP; of norm 1 but
        with `Linear`. Half precisions are widened to float32.
        """
        return self.feature_map(self.projection(x.to(accumulation_dtype(x.dtype))))

    def kernel(self, bra, ket):
        """The real kernel of states, (batch, head, query, key)."""
        return self.feature_map.kernel(bra, ket)

    def scaled(self, kernel, *, scale=None):
        """Logits from a kernel, computed or measured.

        Parameters
        ----------
        kernel : (batch, head, query, key) tensor
        scale : float, optional
            By default dim^-1/2, as in plain attention.

        Returns
        -------
        (batch, head, query, key) tensor
        """
        scale = self.dim**-0.5 if scale is None else scale
        return kernel * (scale * self.dim * self.log_sharpness.to(kernel.dtype).exp())

    def logits(self, q, k, *, scale=None):
        """Logits of queries and keys.

        Parameters
        ----------
        q, k : (batch, head, query, dim), (batch, head, key, dim) tensors
            Any number of heads where the encoding has one, else that many.
        scale : float, optional
            By default dim^-1/2.

        Returns
        -------
        (batch, head, query, key) tensor
            float32 for half precisions. The whole matrix; the backend ``"encoded"``
            forms it in chunks of queries.
        """
        kernel = self.kernel(self.states(q), self.states(k))
        return self.scaled(kernel, scale=scale)

    def twin(self, kind, *, generator=None):
        """The classical twin: the same parameters, at the same start, another map.

        Parameters
        ----------
        kind : {"fourier", "linear"}
            "fourier": the map is replaced by random Fourier features with as many
            real numbers in a state. "linear": the map is removed, which leaves plain
            attention of projected queries and keys.
        generator : torch.Generator, optional
            Of the random frequencies, on the CPU; by default torch's own.

        Returns
        -------
        Encoding
            Shares no tensor with this one; its count of parameters is equal.
        """
        one_of("kind", kind, TWINS)
        width = self.projection.width
        if kind == "linear":
            replaced = Linear(width, self.dim)
        else:
            frequencies = self.feature_map.size // 2
            replaced = Fourier(width, frequencies, generator=generator)
        other = copy.deepcopy(self)
        other.feature_map = replaced.to(self.log_sharpness.device)
        return other


def make_encoding(name, heads, dim, *, width=None):
    """A quantum-inspired encoding by name, at its start.

    Parameters
    ----------
    name : {"amplitude", "multiscale", "iqp"}
        "multiscale" is amplitude encoding of weighted Haar coefficients.
    heads : int
        1 is shared by all heads.
    dim : int
        Of queries and keys.
    width : int, optional
        Numbers kept by the trainable projection, at most `dim`. By default `dim`
        (ceil(log2 dim) qubits); for "iqp", which spends a qubit a number, as many
        qubits as those, at most 12.

    Returns
    -------
    Encoding
    """
    one_of("name", name, ENCODINGS)
    if name == "iqp":
        projection = Projection(heads, dim, qubits_for(dim) if width is None else width)
        integer_between("width", projection.width, 1, MOST_QUBITS)
        return Encoding(projection, IQP(projection.width))
    projection = Projection(heads, dim, width)
    if name == "multiscale":
        projection = MultiScale(projection)
    return Encoding(projection, Amplitude(projection.width))
