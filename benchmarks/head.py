"""Proposals a second on one weight of a softmax head, against full forward passes.

A proposal asks by how much the mean cross-entropy of n samples changes if one of d x C
weights moves. `qlib.weights.head` answers in O(n), exactly. The peers compute the loss
anew, in one thread, in NumPy and PyTorch, float32 and float64: logits W^T X^T + b into
a buffer kept, log-sum-exp, mean. Class by class as here this took a half to a fifth of
the time of (n, C) logits with `torch.nn.functional.cross_entropy` at C = 10 (and no
more at C = 100). The fastest of the four is what the ratio is taken to. For information
stands what an expert may write first: logits updated along one class, the log-sum-exp
of all classes taken anew, in O(n C).

Before the times are taken the answers are compared: the float64 peers' differences of
losses agree with ours to 1e-11.

Ours is timed on random weights in random order inside numba, and as a whole annealing
(`simulated_annealing_codes` at 1 bit: random numbers, accepted moves, refreshes, but
for the start's own loss). Times are CPU time of the one thread, the methods taking
turns, `--repeats` times; the least counts, for other work on the machine only adds. The
floor is the time to read the 24 n bytes that a proposal needs (a row of features, of
exponentials and of reciprocal sums in float64) at the rate at which this machine's dot
product reads a matrix as large as the features.

Data: rectified normal features, labels of a random head of the same shape. Sizes, not
values, set the times, except for the accepted moves of the annealing.

    python benchmarks/head.py --summary benchmarks/head.md
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and PyTorch start threads

import numpy as np
import torch
from numba import njit

from qlib.weights import head_kernels
from qlib.weights.head import SoftmaxHead
from qlib.weights.quantize.annealing import simulated_annealing_codes
from qlib.weights.quantize.codes import QuantizedHead, fit_scale, nearest
from qlib.workbook.benchmark import markdown_table, publish
from qlib.workbook.provenance import provenance

SHAPES = {(4000, 64, 10): 40, (10000, 512, 100): 600}  # (n, d, C): ratio aimed at
OURS, ANNEALING = "one weight, O(n)", "annealing of codes"
COLUMN = "one column of logits, O(n C)"


def data(n, d, classes):
    """Features, labels, weights and bias of one shape."""
    rng = np.random.default_rng([n, d, classes])
    features = np.maximum(rng.normal(0.4, 0.6, (n, d)), 0.0)
    weights = rng.normal(0, 2 / np.sqrt(d), (d, classes))
    labels = np.argmax(features @ weights, axis=1)
    return features, labels, weights, np.zeros(classes)


# --- the peers: a function that gives the loss of weights (C, d) that it shares -------


def numpy_forward(features, labels, weights, bias, dtype):
    rows, weights, bias = (
        np.ascontiguousarray(a.T.astype(dtype)) for a in (features, weights, bias)
    )
    logits = np.empty((bias.size, labels.size), dtype)  # (C, n)
    samples = np.arange(labels.size)

    def loss():
        np.matmul(weights, rows, out=logits)
        np.add(logits, bias[:, None], out=logits)
        picked = logits[labels, samples]
        top = logits.max(axis=0)
        np.exp(np.subtract(logits, top, out=logits), out=logits)
        return np.mean(np.log(logits.sum(axis=0)) + top - picked, dtype=np.float64)

    return loss, weights


def torch_forward(features, labels, weights, bias, dtype):
    rows, weights, bias = (
        torch.tensor(np.ascontiguousarray(a.T), dtype=getattr(torch, dtype))
        for a in (features, weights, bias)
    )
    labels = torch.tensor(labels)[None]
    logits = torch.empty((bias.numel(), labels.numel()), dtype=rows.dtype)  # (C, n)

    @torch.inference_mode()
    def loss():
        torch.addmm(bias[:, None], weights, rows, out=logits)
        picked = logits.gather(0, labels)
        return (torch.logsumexp(logits, 0) - picked).mean(dtype=torch.float64).item()

    return loss, weights.numpy()


def column_forward(features, labels, weights, bias, dtype):
    """Loss after one class's logits move along a feature, from logits kept."""
    columns = np.ascontiguousarray(features.T.astype(dtype))
    logits = np.ascontiguousarray((features @ weights + bias).T.astype(dtype))  # (C, n)
    exps, rows = np.empty_like(logits), np.arange(labels.size)

    def loss(j, c, delta):
        kept = logits[c].copy()
        logits[c] += dtype(delta) * columns[j]
        top = logits.max(axis=0)
        np.exp(np.subtract(logits, top, out=exps), out=exps)
        log_sums = np.log(exps.sum(axis=0)) + top
        mean = np.mean(log_sums - logits[labels, rows], dtype=np.float64)
        logits[c] = kept
        return mean

    return loss


PEERS = {
    f"full forward, {package}, {dtype}": (forward, dtype)
    for package, forward in (("NumPy", numpy_forward), ("PyTorch", torch_forward))
    for dtype in ("float32", "float64")
}


# --- times ----------------------------------------------------------------------------


@njit(nogil=True)
def changes(arrays, rows, columns, deltas):
    total = 0.0
    for k in range(rows.size):
        total += head_kernels.change(arrays, 0, rows[k], columns[k], deltas[k])
    return total


def seconds(function, least):
    """CPU seconds a call, over as many calls as fill `least` seconds."""
    calls, spent = 0, 0.0
    start = time.process_time()
    while spent < least:
        function()
        calls += 1
        spent = time.process_time() - start
    return spent / calls


def rivals(samples):
    """Name to a function of no argument that makes one proposal, checked before."""
    head = SoftmaxHead(*samples)
    j, c, delta = 3, 4, 0.1
    expected, found = head.change(j, c, delta), {}
    for name, (forward, dtype) in PEERS.items():
        loss, shared = forward(*samples, dtype)
        before = loss()
        shared[c, j] += delta
        error = abs(loss() - before - expected)
        if not error < (1e-11 if dtype == "float64" else 1e-5):
            raise ArithmeticError(f"{name}: differs from ours by {error}")
        found[name] = loss
    for dtype in (np.float32, np.float64):
        column = column_forward(*samples, dtype)
        error = abs(column(j, c, delta) - column(j, c, 0.0) - expected)
        if not error < (1e-11 if dtype is np.float64 else 1e-5):
            raise ArithmeticError(f"{COLUMN}: differs from ours by {error}")
        found[f"{COLUMN}, NumPy, {dtype.__name__}"] = lambda f=column: f(j, c, delta)
    return head, found


def annealing_time(samples, start):
    """CPU seconds a proposal from the first sweep's end to the last's."""
    sweeps, clock = (3 if start.codes.size > 10000 else 30), []
    found = simulated_annealing_codes(
        *samples[:2],
        start,
        sweeps=sweeps,
        callback=lambda step, state: clock.append(time.process_time()),
        rng=0,
    )
    return (clock[-1] - clock[0]) / (found.proposals * (sweeps - 1) / sweeps)


def measure(shape, repeats, least):
    """Least CPU seconds a proposal by method, and the floor's."""
    samples = data(*shape)
    n, d, classes = shape
    head, functions = rivals(samples)
    rng, count = np.random.default_rng(0), 2000
    rows, columns = rng.integers(0, d, count), rng.integers(0, classes, count)
    deltas = rng.choice([-1.0, 1.0], count) * 2 / np.sqrt(d)
    changes(head.arrays, rows[:1], columns[:1], deltas[:1])
    scale = fit_scale(samples[2], 1)
    start = QuantizedHead(nearest(samples[2], 1, scale), scale, samples[3], 1)
    matrix = head.arrays.features.ravel()
    half = matrix.size // 2
    times = {name: [] for name in (OURS, ANNEALING, *functions, "floor")}
    for _ in range(repeats):
        spent = seconds(lambda: changes(head.arrays, rows, columns, deltas), least)
        times[OURS].append(spent / count)
        times[ANNEALING].append(annealing_time(samples, start))
        for name, function in functions.items():
            times[name].append(seconds(function, least))
        read = seconds(lambda: matrix[:half] @ matrix[half : 2 * half], least)
        times["floor"].append(read * 24 * n / (16 * half))
    return {name: min(spent) for name, spent in times.items()}


# --- the page -------------------------------------------------------------------------


def microseconds(value):
    return f"{1e6 * value:.3g}" if value < 1e-3 else f"{1e6 * value:.0f}"


def table(times):
    fastest = min(times[name] for name in PEERS)
    rows = [
        [name, microseconds(spent), f"{1 / spent:,.0f}", f"{fastest / spent:.3g}"]
        for name, spent in times.items()
    ]
    header = ["method", "µs a proposal", "proposals a second", "ratio to best forward"]
    return markdown_table(header, rows)


def page(measured, repeats, note):
    made = provenance()
    shown = ("numpy", "torch")
    packages = ", ".join(f"{name} {made['packages'][name]}" for name in shown)
    parts = [
        "# Softmax head: proposals a second",
        f"Written by `benchmarks/head.py`, whose head says what is measured. Least of "
        f"{repeats} CPU times. {made['processor']}, one thread, "
        f"Python {made['python']}, {packages}. {note}".rstrip(),
    ]
    for shape, times in measured.items():
        ratio = min(times[name] for name in PEERS) / times[OURS]
        parts += [
            f"## n, d, C = {', '.join(map(str, shape))}",
            f"One weight against the best full forward: {ratio:.0f} times as many "
            f"proposals a second; aimed at {SHAPES[shape]}. A proposal takes "
            f"{times[OURS] / times['floor']:.1f} times the floor of its reads, or "
            f"{1e9 * times[OURS] / shape[0]:.2g} ns a sample.",
            table(times),
        ]
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--least", type=float, default=0.05, help="seconds a time")
    parser.add_argument("--summary", type=Path, help="also write the page here (.md)")
    parser.add_argument("--note", default="", help="a sentence for the page's head")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measured = {s: measure(s, arguments.repeats, arguments.least) for s in SHAPES}
    text = page(measured, arguments.repeats, arguments.note)
    publish(text, arguments.summary)


if __name__ == "__main__":
    main()
