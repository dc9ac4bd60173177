"""What it costs a language model to attend by another backend, beside the error."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import pearsonr, rankdata

from qlib import intervals
from qlib.attention.analysis.maps import projections
from qlib.attention.language import bits_per_character
from qlib.attention.module import set_backend
from qlib.attention.trials.inputs import Inputs, reference, root_mean_square
from qlib.attention.trials.pareto import judge


@dataclass(frozen=True, eq=False)
class Losses:
    """Bits per character of one model by how it attends.

    Attributes
    ----------
    length : int
        Bytes of a window.
    names, backends : tuple of str
        Of the configurations.
    exact_bits : (window,) array
        Of the model as it was trained.
    bits : (configuration, window) array
        With the attention of every layer swapped.
    errors : (configuration, layer · head) array
        Relative, in the Frobenius norm, of each head's output on the first window,
        with queries, keys and values of the model as it was trained.
    """

    length: int
    names: tuple
    backends: tuple
    exact_bits: np.ndarray
    bits: np.ndarray
    errors: np.ndarray

    def mean(self, name):
        """Bits per character, mean over windows with its 95 % interval.

        Returns
        -------
        `qlib.intervals.Estimate`
        """
        return intervals.student_mean(self.bits[self.names.index(name)])

    def excess(self, name):
        """Bits per character more than exact attention, paired window by window.

        Returns
        -------
        `qlib.intervals.Estimate`
        """
        bits = self.bits[self.names.index(name)]
        return intervals.student_mean(bits - self.exact_bits)

    def error(self, name):
        """Root mean square over heads of the relative error."""
        return float(root_mean_square(self.errors[self.names.index(name)]))

    def lost(self, name):
        """`excess` over the bits of exact attention, in every window."""
        bits = self.bits[self.names.index(name)]
        return intervals.student_mean(bits / self.exact_bits - 1)

    def correlation(self):
        """Spearman's correlation of errors and mean bits over configurations.

        Returns
        -------
        `qlib.intervals.Estimate`
            1 where more error always costs more bits; the 95 % interval is Fisher's.
        """
        errors = rankdata([self.error(name) for name in self.names])
        found = pearsonr(errors, rankdata(self.bits.mean(1)))
        interval = found.confidence_interval(0.95)
        ends = (found.statistic, interval.low, interval.high)
        return intervals.Estimate(*map(float, ends))

    def apart(self):
        """How many configurations have an `excess` whose interval holds no 0."""
        found = (self.excess(name) for name in self.names)
        return sum(excess.low > 0 or excess.high < 0 for excess in found)

    def spared(self, name, rival):
        """Bits per character less than a rival, over those of exact attention.

        Returns
        -------
        `qlib.intervals.Estimate`
            Below 0 `name` loses less; paired window by window.
        """
        ours, theirs = (self.bits[self.names.index(each)] for each in (name, rival))
        return intervals.student_mean((ours - theirs) / self.exact_bits)

    def rows(self):
        """What a record holds: (metric, value, labels)."""
        place = {"length": self.length}
        yield "exact bits per character", float(self.exact_bits.mean()), place
        for name in self.names:
            labels = place | {"attention": name}
            bits, excess = self.mean(name), self.excess(name)
            yield "bits per character", bits.value, labels
            yield "bits per character above exact", excess.value, labels
            yield "error of the first window", self.error(name), labels


def captured(model, tokens, *, name="language model"):
    """Queries, keys and values of every layer of a model while it reads a window.

    Parameters
    ----------
    model : LanguageModel
    tokens : (length,) uint8 tensor
    name : str

    Returns
    -------
    Inputs
        Causal; the layers are its first axis.
    """
    layers = projections(model, tokens[None])  # of (1, head, length, dim)
    return Inputs(name, *map(torch.cat, zip(*layers, strict=True)), True)


def swapped_losses(model, windows, configurations, *, seed=0):
    """Bits per character with every layer swapped, for several configurations.

    Parameters
    ----------
    model : LanguageModel
        Left as it is.
    windows : (count, length + 1) uint8 tensor
        Of `qlib.attention.language.windows_of`; two or more.
    configurations : sequence of `qlib.attention.trials.pareto.Configuration`
        Causal-capable. The model stays in its own dtype.
    seed : int
        Of each configuration's draws, new ones in every layer and window.

    Returns
    -------
    Losses
    """
    inputs = captured(model, windows[0, :-1])
    exact = reference(inputs)
    bits, errors = [], []
    for each in configurations:
        errors.append(judge(each, inputs, exact, 1)["errors"][0])
        generator = torch.Generator().manual_seed(seed)
        swapped = set_backend(
            copy.deepcopy(model), each.backend, generator=generator, **each.options
        )
        bits.append(bits_per_character(swapped, windows))
    return Losses(
        inputs.length,
        tuple(each.name for each in configurations),
        tuple(each.backend for each in configurations),
        bits_per_character(model, windows),
        np.array(bits),
        np.array(errors),
    )
