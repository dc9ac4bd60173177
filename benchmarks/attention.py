"""Attention: error, time and memory of the backends, against the best exact kernels.

Inputs: independent standard normal q, k, v, and those of a language model trained
first, the last window of text it has not seen (the settings of the blockwise backend
were chosen on the first), its second and fourth layers; from 2048 on the second alone,
which is harder than most. Two heads of 64, lengths 512, 2048 and 8192, causal and not.
The model is causal: without the mask its queries meet keys they were not trained for.
Samplers form every logit and then draw, so that they are slower than exact attention;
at 8192 they are left out.

Rivals, in float32 and in bfloat16: the naive formula, which keeps every pair, PyTorch's
fused kernel (SDPA), and whatever exact method of the same precision is fastest.
Precision is that of the products. Columns: relative Frobenius error of the output
against float64, root mean square over heads and, of drawn methods, seeds (least to
greatest); time of a layer; how many times as fast as the three rivals of equal
precision; most memory held at a time, and over the naive formula's; the floor, the
longer of the method's own products at the rate of this machine's products of matrices,
and of q, k, v and output at its rate of copying; time over the floor.

The methods take turns and the least time counts. With one thread it is CPU time, else
wall-clock time. Before anything is published the exact methods are compared with
float64.

    python benchmarks/attention.py --threads 1 2 --summary benchmarks/attention.md

Training takes about five minutes, `--tensors` reads them from a folder instead: for
each length `qkv_{length}.pt`, a list over layers of (q, k, v), each (1, head, length,
dim).
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch starts threads

import torch

from qlib.attention.backends import BACKENDS
from qlib.attention.exact.probe import half_dtype, processor
from qlib.attention.language import FULL, pretrain, windows_of
from qlib.attention.profile.cost import cost_of, exact_cost, floor_seconds
from qlib.attention.profile.machine import measure_machine
from qlib.attention.trials.configurations import clustered
from qlib.attention.trials.inputs import Inputs, gaussian, root_mean_square
from qlib.attention.trials.language import captured
from qlib.attention.trials.pareto import NAIVE, Configuration, pareto
from qlib.data.text import load_text
from qlib.workbook.benchmark import markdown_table, publish
from qlib.workbook.provenance import provenance

LAYERS = (1, 3)  # numbered from 0
LONG = 2048  # from here on one layer, fewer turns, seeds and settings of samplers
LONGEST = 2048  # for samplers: they form every logit and then draw
ROUNDING = {torch.float32: 1e-4, torch.bfloat16: 2e-2}  # allowed to exact methods
ALLOWED = 0.1  # error below which a method is compared in words


# --- what is measured -----------------------------------------------------------------


def configurations(length, is_causal):
    """Every backend that can honour the mask, at settings of several prices."""
    half = half_dtype(torch.device("cpu"))
    found = [Configuration("math", "math")]
    if half is not None:
        found.append(Configuration("mixed", "mixed"))
    for name, options in clustered(length).items():
        for dtype in [{}, {"dtype": half}] if half else [{}]:
            found.append(Configuration(name, "blockwise", options | dtype))
    for backend, option, values in settings(length):
        if is_causal and "causal" not in BACKENDS[backend].masks:
            continue
        for value in values:
            name = f"{backend}, {option} {value}"
            found.append(Configuration(name, backend, {option: value}))
    return found


def settings(length):
    """(backend, option, values) of the methods that approximate."""
    samplers = ("multinomial", "importance", "stratified", "topk_rest")
    budgets = (128,) if length >= LONG else (32, 128)
    drawn = [(name, "samples", budgets) for name in (*samplers, "control_variate")]
    drawn.append(("adaptive", "target_error", (ALLOWED,)))
    return [
        *(drawn if length <= LONGEST else []),
        ("performer", "features", (256, 1024)),
        ("linformer", "rank", (64, 256)),
        ("nystrom", "landmarks", (64, 256)),
        ("local_window", "window", (64, 256)),
        ("lsh", "rounds", (1, 4)),
    ]


def language_model_inputs(lengths, text):
    """q, k, v of every layer of a model trained here, by length."""
    text = load_text(text)
    model = pretrain(
        text.train, stages=FULL, generator=torch.Generator().manual_seed(0)
    )
    found = {}
    for length in lengths:
        window = windows_of(text.test, length, 2)[-1, :-1]
        with torch.no_grad():
            inputs = captured(model, window)
        found[length] = inputs.q, inputs.k, inputs.v
    return found


def stored_inputs(lengths, folder):
    """The same from files."""
    found = {}
    for length in lengths:
        layers = torch.load(folder / f"qkv_{length}.pt", weights_only=True)
        found[length] = [torch.cat(each).float() for each in zip(*layers, strict=True)]
    return found


def panels(real):
    """`Inputs` of every table, causal or not, the short ones first."""
    for length, tensors in real.items():
        layers = list(LAYERS[:1] if length >= LONG else LAYERS)
        for is_causal in (False, True):
            yield gaussian(length, is_causal=is_causal)
            parts = (each[layers].contiguous() for each in tensors)
            yield Inputs("language model", *parts, is_causal)


def measure(inputs, machine, repeats):
    """Points of one table, each with its floor in seconds."""
    chosen = configurations(inputs.length, inputs.is_causal)
    seeds = 2 if inputs.length >= LONG else 5
    turns = turns_at(inputs.length, repeats)
    found = pareto(inputs, chosen, repeats=turns, seeds=seeds)
    for point in found.points:
        if point.exact and point.errors.max() > ROUNDING[point.precision]:
            name = point.configuration.name
            raise ArithmeticError(f"{name} errs by {point.errors.max():.2g}")
    return found, {each: floor(each, inputs, machine) for each in found.points}


def turns_at(length, repeats):
    return max(3, repeats // 2) if length >= LONG else repeats


def floor(point, inputs, machine):
    """Seconds that the products, inputs and output of all layers need at least."""
    chosen = point.configuration
    layer = [each[:1].to(chosen.dtype) for each in (inputs.q, inputs.k, inputs.v)]
    settings = {"is_causal": inputs.is_causal}
    if chosen.backend == NAIVE:
        cost = exact_cost(*layer)
    else:
        cost = cost_of(chosen.backend, *layer, **settings, **chosen.options)
    return len(inputs.q) * floor_seconds(cost, machine, point.precision)


# --- the page -------------------------------------------------------------------------


HEADER = ["method", "products", "error, %", "ms a layer", "× naive", "× SDPA"]
HEADER += ["× best exact", "peak, MiB", "of naive's", "floor, ms", "over the floor"]


def table(found, floors, layers):
    """One row a method: exact ones first, then by family as they were asked for."""
    ordered = sorted(found.points, key=lambda each: not each.exact)
    return markdown_table(HEADER, [row(found, p, floors[p], layers) for p in ordered])


def row(found, point, floor, layers):
    spent = point.seconds.min()
    return [
        point.configuration.name.replace("_", " "),
        name_of(point.precision),
        error_text(point.errors),
        f"{1e3 * spent / layers:.3g}",
        *(f"{faster(found, point, kind):.2f}" for kind in ("naive", "sdpa", "exact")),
        f"{point.peak_bytes / 2**20:.3g}",
        f"{found.memory(point, 'naive'):.3f}",
        f"{1e3 * floor / layers:.3g}",
        f"{spent / floor:.1f}",
    ]


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def faster(found, point, kind):
    """Least time of a rival over least time of the point."""
    return found.rival(point, kind).seconds.min() / point.seconds.min()


def error_text(errors):
    ends = errors.min(), errors.max()
    mean, low, high = (100 * x for x in (root_mean_square(errors, None), *ends))
    return f"{mean:.2g} ({low:.2g} to {high:.2g})"


def in_words(found):
    """What is fastest below the error allowed, a sentence."""
    rough = [each for each in found.points if not each.exact]
    near = [each for each in rough if each.error < ALLOWED]
    if not near:
        least = min(rough, key=lambda each: each.error)
        return (
            f"No approximation errs by less than {ALLOWED:.0%}; the least is "
            f"{least.error:.1%}, {least.configuration.name}."
        )
    best = min(near, key=lambda each: each.seconds.min())
    return (
        f"Fastest approximation below {ALLOWED:.0%}: {best.configuration.name}, "
        f"products in {name_of(best.precision)}, {best.error:.1%}, "
        f"{faster(found, best, 'exact'):.2f} times as fast as the best exact method of "
        f"its precision, {faster(found, best, 'sdpa'):.2f} times as fast as SDPA."
    )


def section(inputs, found, floors):
    mask = "causal" if inputs.is_causal else "no mask"
    parts = [
        f"### {inputs.name}, {mask}, n = {inputs.length}",
        in_words(found),
        table(found, floors, len(inputs.q)),
    ]
    return "\n\n".join(parts)


def machine_text(machine):
    rates = ", ".join(
        f"{name_of(dtype)} {rate / 1e9:.0f} GFLOP/s"
        for dtype, rate in machine.multiplied.items()
    )
    return f"Products of matrices: {rates}; copies at {machine.moved / 1e9:.1f} GB/s."


def head(arguments, source, load):
    made, here = provenance(), processor()
    packages = ", ".join(f"{n} {made['packages'][n]}" for n in ("numpy", "torch"))
    features = [
        name
        for name in ("avx512_bf16", "amx_bf16", "avx512_fp16")
        if getattr(here, name)
    ]
    return (
        f"Written by `benchmarks/attention.py`, whose head says what is measured. "
        f"Language model: {source}. Least of {arguments.repeats} times, from length "
        f"{LONG} on of {turns_at(LONG, arguments.repeats)}. {made['processor']}, "
        f"vectors {here.vectors}, half precision {', '.join(features) or 'none'}, "
        f"Python {made['python']}, {packages}. Load average of the {os.cpu_count()} "
        f"cores {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end, this run "
        f"being {max(arguments.threads)} of it at most. {arguments.note}"
    ).rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 2048, 8192])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--text", default="wikitext-2", help="trained on, see load_text"
    )
    parser.add_argument("--tensors", type=Path, help="read q, k, v here, do not train")
    parser.add_argument("--summary", type=Path, help="also write the page here (.md)")
    parser.add_argument("--note", default="", help="a sentence for the page's head")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    torch.set_num_threads(arguments.threads[0])
    if arguments.tensors:
        real = stored_inputs(arguments.lengths, arguments.tensors)
        source = "trained before, its tensors read from files"
    else:
        real = language_model_inputs(arguments.lengths, arguments.text)
        source = f"trained in this run on {arguments.text}"
    parts = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        machine = measure_machine((torch.float32, torch.bfloat16))
        parts += [f"## Threads: {threads}", machine_text(machine)]
        for inputs in panels(real):
            parts.append(section(inputs, *measure(inputs, machine, arguments.repeats)))
    text = [
        "# Attention: error, time and memory",
        head(arguments, source, load),
        *parts,
    ]
    publish("\n\n".join(text) + "\n", arguments.summary)


if __name__ == "__main__":
    main()
