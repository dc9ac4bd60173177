"""How backends, inputs and claims look in every figure of this topic."""

import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from qlib.workbook import plotting

METHOD_OF = {
    # backend: name in `plotting.METHODS`
    "naive": "naive attention",
    "math": "exact attention",
    "sdpa": "SDPA",
    "mixed": "mixed precision",
    "multinomial": "multinomial",
    "importance": "importance",
    "stratified": "stratified",
    "topk_rest": "top-k and rest",
    "adaptive": "adaptive",
    "control_variate": "control variate",
    "blockwise": "blockwise",
    "performer": "Performer",
    "linformer": "Linformer",
    "nystrom": "Nyström",
    "local_window": "local window",
    "lsh": "LSH",
    "encoded": "encoded",
}
LINE = {"color": plotting.INK, "lw": 0.8, "ls": (0, (6, 4))}  # a boundary or a law
SHADE = 0.35  # power of the weights that is drawn, so that small ones are seen
SMALL = {"fontsize": 9.5}  # titles of panels
CLAIMED = 0.1  # relative error that the roadmap allows


def of_method(name):
    """Keyword arguments of ``ax.plot`` that mark a method or a backend.

    Parameters
    ----------
    name : str
        In `plotting.METHODS`, or a backend.
    """
    return plotting.method_style(METHOD_OF.get(name, name))


def pace(speed):
    """How many times as fast, or as slow, in words, to 5 %."""
    if 1 / 1.05 < speed < 1.05:
        return "as fast"
    if speed >= 1:
        return f"{speed:.2g} times as fast"
    return f"{1 / speed:.2g} times as slow"


def seen(weights, exact):
    """Weights as a picture: negative ones 0, and nothing where no weight may be.

    Parameters
    ----------
    weights, exact : (query, key) arrays
        The second is 0 where a key may not be seen.
    """
    return np.where(exact == 0, np.nan, np.clip(weights, 0, None))


def in_percent(axis):
    """Label a logarithmic axis of shares in percent."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axis.set_minor_formatter(NullFormatter())
