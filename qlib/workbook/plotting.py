"""One look for every figure, and figures as HTML that needs no server.

A method keeps its colour, marker and line in every figure of every notebook: the
table `METHODS` is the only place where they are chosen. Colours start from those of
Okabe and Ito (2008) and Tol (2021), darkened where needed to a contrast of 3 on white;
any two that a colour vision deficiency brings close differ in line style, and markers
differ always, so a figure also reads in grey.
"""

import base64
import contextlib
import html
import io

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.collections import Collection, QuadMesh
from matplotlib.lines import Line2D

INK = "#22262b"
FAINT = "#d9dce1"
THUMBNAIL_BYTES = 40_000
THUMBNAIL_PIXELS = 480
DENSE = 4000  # points or vertices beyond which an artist is drawn as pixels

METHODS = {
    # name: (colour, marker, line style)
    "SA": ("#0072B2", "o", "-"),
    "QIA": ("#D55E00", "s", "-"),
    "path integral": ("#009E73", "^", "-"),
    "replica exchange": ("#CC79A7", "D", "-"),
    "random search": ("#777777", "x", ":"),
    "tunnelling annealing": ("#000000", "*", "-"),
    "dual annealing": ("#BE8200", "v", "--"),
    "differential evolution": ("#3F97D0", "P", "--"),
    "basin hopping": ("#882255", "<", "--"),
    "IPOP-CMA-ES": ("#332288", "h", "-."),
    "BIPOP-CMA-ES": ("#8A8A2E", "X", "-."),
    "SGD": ("#882255", "p", (0, (6, 2))),
    "L-BFGS": ("#000000", "d", (0, (6, 2))),
    "naive SA": ("#3F97D0", "H", (0, (6, 2))),
    "rounding": ("#777777", "+", (0, (3, 1))),
    "second-order rounding": ("#BE8200", ">", (0, (3, 1))),
    "coordinate descent": ("#332288", "8", (0, (3, 1))),
    "iterated descent": ("#8A8A2E", (7, 1, 0), (0, (5, 1, 1, 1))),
    "straight-through": ("#882255", "1", (0, (3, 1))),
    "straight-through, then SA": ("#117755", "2", (0, (8, 1, 1, 1))),
    "accuracy SA": ("#D55E00", "3", (0, (8, 1, 1, 1))),
    "magnitude": ("#3F97D0", "4", (0, (1, 1))),
    "greedy": ("#8A8A2E", "|", (0, (1, 1))),
    "greedy and swap": ("#000000", "_", (0, (1, 1))),
    "Fisher SA": ("#332288", (5, 1, 0), (0, (8, 1, 1, 1))),
    "brain surgeon": ("#882255", (6, 2, 0), (0, (1, 1))),
    "QIMAD": ("#B5179E", (4, 1, 0), "-"),
    "QIMAD ensemble": ("#B5179E", (4, 1, 45), (0, (10, 2))),
    "QIMAD mean": ("#B5179E", (3, 1, 0), (0, (2, 2))),
    "QIMAD 2 of 8": ("#B5179E", (3, 1, 180), (0, (4, 1, 1, 1))),
    "Adam": ("#0072B2", (8, 1, 0), (0, (10, 2))),
    "multi-start Adam": ("#0072B2", (3, 0, 90), (0, (2, 2))),
    "AdamW": ("#0B6E4F", (9, 1, 0), (0, (4, 1, 1, 1))),
    "AdamW ensemble": ("#000000", (3, 0, 270), (0, (10, 2))),
    "RMSprop": ("#BE8200", (4, 0, 20), (0, (2, 2))),
    "RMSprop ensemble": ("#BE8200", (5, 0, 180), (0, (7, 1, 2, 1))),
    "multi-start RMSprop": ("#BE8200", (5, 1, 180), (0, (10, 1))),
    "QIMAD as published": ("#B5179E", (6, 1, 15), (0, (1, 2))),
    "plain network": ("#D55E00", (5, 0, 0), (0, (3, 2, 1, 2))),
    "same as largest": ("#777777", (4, 0, 45), (0, (2, 1, 2, 3))),
    "linear in ln N": ("#BE8200", (3, 0, 0), (0, (6, 2, 2, 2))),
    "boosted trees": ("#882255", (3, 0, 180), (0, (1, 3))),
    "Calabrese-Cardy": ("#3F97D0", (4, 1, 22), (0, (5, 2, 1, 2, 1, 2))),
    "exponential increments": ("#117755", (7, 0, 0), (0, (9, 2, 1, 2))),
    "trees on increments": ("#0072B2", (5, 0, 90), (0, (7, 3))),
    "size flow": ("#5B2A9B", (5, 1, 36), (0, (12, 2))),
    "DMRG": ("#000000", (4, 0, 0), (0, (4, 3))),
    "exact diagonalisation": ("#0072B2", (30, 0, 0), (0, (8, 3, 2, 3))),
    "free fermions": ("#0B6E4F", (6, 0, 0), (0, (3, 3))),
    "naive attention": ("#777777", (4, 2, 45), (0, (2, 4))),
    "exact attention": ("#22262b", (4, 2, 0), (0, (14, 2))),
    "SDPA": ("#000000", (4, 0, 90), (0, (5, 1))),
    "mixed precision": ("#666d78", (4, 0, 135), (0, (5, 3))),
    "multinomial": ("#0072B2", (31, 0, 0), (0, (20, 1))),
    "importance": ("#3F97D0", (3, 0, 120), (0, (6, 1, 1, 1))),
    "stratified": ("#332288", (4, 0, 225), (0, (9, 1))),
    "stratified, unsorted": ("#8a6fc9", (4, 0, 180), (0, (3, 1, 1, 1, 1, 1))),
    "top-k and rest": ("#B5179E", (3, 0, 300), (0, (11, 3))),
    "adaptive": ("#882255", (5, 0, 72), (0, (1, 4))),
    "control variate": ("#117755", (5, 1, 72), (0, (16, 2))),
    "blockwise": ("#D55E00", (5, 1, 108), (0, (18, 2))),
    "Performer": ("#BE8200", (4, 1, 90), (0, (6, 3))),
    "Linformer": ("#8A8A2E", (3, 0, 30), (0, (8, 1))),
    "Nyström": ("#0B6E4F", (3, 0, 210), (0, (2, 1))),
    "local window": ("#009E73", (6, 0, 30), (0, (12, 1, 1, 1))),
    "LSH": ("#a8442a", (8, 0, 0), (0, (3, 1, 3, 3))),
    "largest weights": ("#777777", (5, 2, 36), (0, (10, 4))),
    "random keys": ("#777777", (3, 2, 0), (0, (1, 1, 1, 4))),
    "mean of values": ("#777777", (2, 2, 0), (0, (2, 6))),
    "encoded": ("#CC79A7", (6, 2, 15), (0, (4, 1, 4, 3))),
}

_STYLE = {
    "figure.figsize": (7.4, 4.1),
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 9.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": "#8a9099",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": mpl.cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#BE8200", "#3F97D0"]
    ),
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": "#5c636d",
    "ytick.color": "#5c636d",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "image.cmap": "cividis",
}


@contextlib.contextmanager
def style():
    """Draw in the workbook's style inside a ``with`` block; restore it afterwards."""
    with mpl.rc_context(_STYLE):
        yield


def method_style(name):
    """Keyword arguments for ``ax.plot`` that mark a method in every figure.

    Parameters
    ----------
    name : str
        One of `METHODS`.

    Returns
    -------
    dict
        ``color``, ``marker``, ``linestyle``, ``label``.

    Raises
    ------
    ValueError
        If the method has no place in `METHODS`; a colour is never made up.
    """
    if name not in METHODS:
        raise ValueError(f"method is {name!r}; allowed: {', '.join(METHODS)}")
    color, marker, linestyle = METHODS[name]
    return {"color": color, "marker": marker, "linestyle": linestyle, "label": name}


def title(ax, finding):
    """Say above a plot what it shows, in the style even after its block has ended."""
    with style():
        ax.set_title(finding)


def band(ax, x, samples, *, method, percentiles=(25, 75)):
    """Draw the median of many runs as a line and a percentile band around it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x : array_like, shape (points,)
    samples : array_like, shape (runs, points)
        Finite; on a logarithmic axis positive.
    method : str
        One of `METHODS`.
    percentiles : (float, float)
        Edges of the band; the default is the interquartile range.

    Returns
    -------
    matplotlib.lines.Line2D
        The median.

    Raises
    ------
    ValueError
        If the shapes disagree or a sample is not finite.
    """
    x, samples = np.asarray(x), np.asarray(samples, dtype=float)
    if samples.ndim != 2 or samples.shape[1:] != x.shape:
        raise ValueError(
            f"samples has shape {samples.shape}; allowed: (runs, {x.size}), as x has "
            f"{x.size} points"
        )
    if not np.isfinite(samples).all():
        raise ValueError("samples holds values that are not finite; draw them apart")
    marks = method_style(method)
    low, high = np.percentile(samples, percentiles, axis=0)
    ax.fill_between(x, low, high, color=marks["color"], alpha=0.16, linewidth=0)
    every = max(1, x.size // 8)
    shift = list(METHODS).index(method) * every // len(METHODS)
    (line,) = ax.plot(x, np.median(samples, axis=0), markevery=(shift, every), **marks)
    return line


def interval_points(ax, methods, values, intervals, *, absent="not reached"):
    """Draw one value with its interval for each method, one row a method.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Set a logarithmic x axis before the call, not after it.
    methods : sequence of str
        Names from `METHODS`, from top to bottom.
    values : sequence of float or None
        None or infinite where the method has no value; the row then says `absent`.
    intervals : sequence of (float, float) or None
        An infinite upper end is drawn as an arrow.
    absent : str
        What a row without a value says.

    Raises
    ------
    ValueError
        If the three sequences differ in length or a method is unknown.
    """
    if not len(methods) == len(values) == len(intervals):
        raise ValueError(
            f"methods, values and intervals have lengths {len(methods)}, {len(values)} "
            f"and {len(intervals)}; they must be equal"
        )
    finite = [v for v in values if v is not None and np.isfinite(v)]
    ends = [e for pair in intervals if pair for e in pair if np.isfinite(e)]
    edge = 1.5 * max([*finite, *ends], default=1.0)
    for place, (name, value, interval) in enumerate(
        zip(methods, values, intervals, strict=True)
    ):
        marks = method_style(name)
        if interval is not None and np.isfinite(interval[0]):
            low, high = interval
            open_end = not np.isfinite(high)
            ax.plot(
                [low, edge if open_end else high], [place] * 2, color=marks["color"]
            )
            if open_end:
                ax.plot(edge, place, marker=">", color=marks["color"])
        if value is not None and np.isfinite(value):
            ax.plot(value, place, color=marks["color"], marker=marks["marker"], ms=7)
        else:
            across = ax.get_yaxis_transform()
            ax.text(0.01, place, absent, transform=across, va="center")
    ax.set_yticks(range(len(methods)), methods)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")


def thumbnail(figure):
    """Draw a figure as a small PNG.

    Returns
    -------
    str
        A ``data:image/png`` address of at most `THUMBNAIL_BYTES` characters.

    Raises
    ------
    ValueError
        If the figure cannot be drawn in so few bytes.
    """
    from PIL import Image

    buffer = io.BytesIO()
    with style():
        dpi = 2 * THUMBNAIL_PIXELS / figure.get_figwidth()
        figure.savefig(buffer, format="png", dpi=dpi)
    image = Image.open(buffer).convert("RGB")
    for width in (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS // 2, THUMBNAIL_PIXELS // 4):
        height = max(1, round(image.height * width / image.width))
        small = image.resize((width, height), Image.Resampling.LANCZOS)
        for colours in (256, 32):
            buffer = io.BytesIO()
            small.quantize(colours, dither=Image.Dither.NONE).save(
                buffer, format="png", optimize=True
            )
            address = _data_uri("image/png", buffer.getvalue())
            if len(address) <= THUMBNAIL_BYTES:
                return address
    raise ValueError(f"the figure's thumbnail stays above {THUMBNAIL_BYTES} bytes")


def display_figure(figure, name, *, alt, caption):
    """Turn a figure into HTML, once, and close it.

    The image is SVG with text as outlines, so it looks the same everywhere; artists of
    more than `DENSE` points are drawn as pixels inside it. The same figure gives the
    same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Closed afterwards, so that a notebook does not show it a second time.
    name : str
        The figure's anchor in the page is ``figure-<name>``.
    alt : str
        Alternative text; must not be empty.
    caption : str
        How to read the figure.

    Returns
    -------
    IPython.display.HTML
        A ``<figure>`` that works without scripts, styles or network.
    """
    from IPython.display import HTML

    caption = html.escape(caption, quote=False)
    return HTML(
        f'<figure id="figure-{html.escape(name)}">{image_tag(figure, name, alt=alt)}'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def image_tag(figure, name, *, alt):
    """Turn a figure into an ``<img>`` with its SVG inside, and close it.

    `name` seeds the ids inside the SVG; see `display_figure` for the rest.
    """
    if not alt.strip():
        raise ValueError(f"alt of figure {name!r} is empty")
    _rasterise_dense(figure)
    buffer = io.BytesIO()
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    with style(), mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return (
        f'<img alt="{html.escape(alt)}" width="{width}" height="{height}" '
        'style="max-width:100%;height:auto" '
        f'src="{_data_uri("image/svg+xml", buffer.getvalue())}">'
    )


def _data_uri(kind, content):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _rasterise_dense(figure):
    for line in figure.findobj(Line2D):
        line.set_rasterized(line.get_rasterized() or len(line.get_xdata()) > DENSE)
    for collection in figure.findobj(Collection):
        if isinstance(collection, QuadMesh):
            size = collection.get_coordinates().size
        else:
            vertices = sum(len(path.vertices) for path in collection.get_paths())
            size = max(vertices, len(collection.get_offsets()))
        collection.set_rasterized(collection.get_rasterized() or size > DENSE)
