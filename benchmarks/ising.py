"""Ising samplers: flips a second, time to the ground state, cuts of the G-set.

Ours beside dwave-samplers and openjij in one run, one thread each. All times are the
CPU seconds of the whole call of `sample`, conversion of the model included, so that
other work on the machine does not count.

Flips: attempted flips (reads x replicas x spins x sweeps) over seconds, the best of
three calls of 128 reads (a slice of a path integral counts as a replica). Two floors
stand beside them, measured on our kernel: its random numbers alone, and its local
fields alone.

Time to target (TTS99): reads of one call share its seconds equally; a read succeeds if
its energy is the lowest that any method found on the instance in this run, and the
long runs of replica exchange made for that purpose are counted too: the page says how
many of their reads agree. Every method runs at five numbers of sweeps and is shown at
the one with the lowest median over instances; all else is at its default. Reads per
instance and number of sweeps are as many as fit the seconds given, 10 to 100; more
sweeps are not tried where 10 reads would not fit them. "never" is no success in these
reads: the interval's lower end says what that excludes.

Cuts: the best cut after a number of seconds, where G-set files are to be had.

Records are saved as they come: an interrupted run goes on where it stopped.

    python benchmarks/ising.py --quick
"""

import argparse
import functools
import json
import math
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numba import njit

from qlib.annealing import ising
from qlib.annealing.ising.random_streams import STRIDE, next_packed_uniform
from qlib.annealing.ising.sweeps import lane_energies, start_replicas
from qlib.annealing.ising.time_to_target import time_to_target
from qlib.data.archives import folders, locate
from qlib.files import write_atomically
from qlib.workbook.benchmark import markdown_table, publish
from qlib.workbook.provenance import provenance

BEST_KNOWN = {"G1": 11624, "G14": 3064, "G22": 13359, "G32": 1410, "G43": 6660}
READS = 128
FEWEST = 10  # reads behind a success rate
TIE = 1e-6  # energies of one state differ by rounding between samplers


# --- instances ------------------------------------------------------------------------


def gset(name):
    remedy = "Fetch it from the G-set page of Y. Ye, or set QLIB_DATA."
    places = [place / "gset" for place in folders()]
    return ising.read_gset(locate(f"{name}.txt", places, remedy))


def torus(side, seed):
    return ising.random_pm_j(side, rng=np.random.default_rng([side, seed]))


def glass(spins, seed):
    return ising.sherrington_kirkpatrick(
        spins, rng=np.random.default_rng([spins, seed])
    )


FAMILIES = {  # name -> (maker of an instance, instances)
    "torus L = 16": (functools.partial(torus, 16), 10),
    "torus L = 32": (functools.partial(torus, 32), 5),
    "SK N = 200": (functools.partial(glass, 200), 10),
    "SK N = 500": (functools.partial(glass, 500), 3),
    "G1": (lambda seed: gset("G1"), 1),
}


# --- samplers -------------------------------------------------------------------------


def dwave(name, **options):
    import dwave.samplers

    return getattr(dwave.samplers, name)(), options


def openjij(name, **options):
    import openjij as oj

    return getattr(oj, name)(), options


OURS = "replica exchange"
METHODS = {  # name -> (maker of sampler and options, sweeps tried)
    OURS: (lambda: (ising.ReplicaExchangeSampler(), {}), (25, 50, 100, 200, 400)),
    "SA": (
        lambda: (ising.SimulatedAnnealingSampler(), {}),
        (50, 200, 800, 3200, 12800),
    ),
    "path integral": (
        lambda: (ising.PathIntegralSampler(), {}),
        (25, 100, 400, 1600, 6400),
    ),
    "bifurcation": (
        lambda: (ising.SimulatedBifurcationSampler(), {}),
        (50, 200, 800, 3200, 12800),
    ),
    "dwave SA": (
        lambda: dwave("SimulatedAnnealingSampler"),
        (50, 200, 800, 3200, 12800),
    ),
    "dwave path integral": (
        lambda: dwave("PathIntegralAnnealingSampler"),
        (50, 200, 800, 3200, 12800),
    ),
    "openjij SA": (lambda: openjij("SASampler"), (50, 200, 800, 3200, 12800)),
    "openjij SQA": (lambda: openjij("SQASampler"), (50, 200, 800, 3200, 12800)),
}


def call(method, model, bqm, **settings):
    """Energies of the reads, spins aside, and CPU seconds of the call."""
    sampler, options = METHODS[method][0]()
    target = bqm if ("dwave" in method or "openjij" in method) else model
    start = time.process_time()
    answer = sampler.sample(target, **options, **settings)
    seconds = time.process_time() - start
    energies = np.repeat(answer.record.energy, answer.record.num_occurrences)
    return energies, seconds, answer


# --- attempted flips a second ---------------------------------------------------------


FLIPS = (OURS, "SA", "dwave SA", "openjij SA")


def flips(model, bqm, arguments):
    """Attempted flips a second of every method, and of the kernel's two floors."""
    rates = {}
    for method in FLIPS:
        sweeps, best = 20, 0.0
        for _ in range(4):
            _, seconds, answer = call(
                method, model, bqm, num_reads=READS, num_sweeps=sweeps, seed=1
            )
            copies = 1 + bool(answer.info.get("cluster_moves"))
            replicas = copies * len(answer.info.get("ladder", [0]))
            rate = READS * replicas * model.num_spins * sweeps / seconds
            best = max(best, rate)
            sweeps = max(20, round(sweeps * arguments.flip_seconds / seconds))
        rates[method] = best
    return rates | floors(model)


def floors(model):
    spins = np.ones((READS, model.num_spins), dtype=np.int8)
    replicas = start_replicas(model, spins, np.random.default_rng(0))
    work = np.empty(STRIDE, dtype=np.float32)
    repeats = max(1, 2_000_000 // (READS * model.num_spins))
    jobs = {
        "random numbers alone": lambda: _uniforms(
            replicas.streams[0], work, repeats * model.num_spins
        ),
        "local fields alone": lambda: [
            lane_energies(replicas.couplings, replicas.lanes[0]) for _ in range(repeats)
        ],
    }
    rates = {}
    for name, job in jobs.items():
        job()
        seconds = math.inf
        for _ in range(10):
            start = time.perf_counter()
            job()
            seconds = min(seconds, time.perf_counter() - start)
        rates[name] = READS * repeats * model.num_spins / seconds
    return rates


@njit
def _uniforms(streams, out, repeats):
    for _ in range(repeats):
        for lane in range(READS):
            out[lane] = next_packed_uniform(streams, lane)


# --- time to target -------------------------------------------------------------------


def long_runs(model, arguments):
    """Energies of long reads of replica exchange, for the ground energy."""
    start = time.process_time()
    found = []
    while time.process_time() - start < arguments.long_seconds:
        found += call(
            OURS, model, None, num_reads=4, num_sweeps=500, seed=1000 + len(found)
        )[0].tolist()
    return found


def reads_at(method, model, bqm, sweeps, seconds):
    """Energies and seconds a read, with as many reads as fit the seconds."""
    reads, total = FEWEST, 0.0
    while True:
        energies, spent, _ = call(
            method, model, bqm, num_reads=reads, num_sweeps=sweeps, seed=reads
        )
        total += spent
        if reads == 100 or total > seconds / 2:
            return {"energies": energies.tolist(), "seconds": spent / len(energies)}
        reads = int(min(100, max(reads + 1, reads * (seconds - total) / spent)))


def target_table(family, arguments, load):
    """TTS99 of every method on one family: rows of the table, and agreement."""
    make, count = FAMILIES[family]
    count = min(count, arguments.instances)
    share = arguments.target_seconds / count
    records = {}
    grounds, agree = [], []
    for instance in range(count):
        key = f"{family} {instance}"
        model = make(instance)
        bqm = model.to_bqm()
        long = load(f"long {key}", functools.partial(long_runs, model, arguments))
        lowest = [min(long)]
        for method, (_, grid) in METHODS.items():
            expected, seconds = 0.0, share / len(grid)
            for sweeps in grid:
                if FEWEST * expected > 1.5 * seconds:
                    break
                job = functools.partial(reads_at, method, model, bqm, sweeps, seconds)
                record = load(f"{key} {method} {sweeps}", job)
                records[method, sweeps, instance] = record
                lowest.append(min(record["energies"]))
                expected = record["seconds"] * grid[1] / grid[0]
        grounds.append(min(lowest))
        agree.append(np.mean(np.array(long) < grounds[-1] + TIE))
    rows = []
    for method, (_, grid) in METHODS.items():
        rows.append(best_sweeps(method, grid, count, records, grounds))
    return rows, agree


def best_sweeps(method, grid, count, records, grounds):
    """Estimate, sweeps, seconds a read and success at the best number of sweeps."""
    best = None
    for sweeps in grid:
        found = [records.get((method, sweeps, instance)) for instance in range(count)]
        if not all(found):
            continue
        success = [
            np.array(record["energies"]) < ground + TIE
            for record, ground in zip(found, grounds, strict=True)
        ]
        reads = min(map(len, success))
        seconds = [record["seconds"] for record in found]
        estimate = time_to_target(
            np.array([hits[:reads] for hits in success]), seconds, rng=0
        )
        rate = np.mean([hits.mean() for hits in success])
        if best is None or (estimate.value, -rate) < (best[1].value, -best[4]):
            best = (method, estimate, sweeps, np.median(seconds), rate, reads)
    return best or (method, None)


# --- cuts -----------------------------------------------------------------------------


def cut(method, name, seconds):
    """Best cut of one method after some CPU seconds, and when it was first seen."""
    model = gset(name)
    bqm = model.to_bqm()
    best, seen, start, seed = math.inf, 0.0, time.process_time(), 0
    sweeps = 1000 if method == OURS else 4000
    while best > -BEST_KNOWN[name]:
        spent = time.process_time() - start
        if spent > seconds:
            break
        seed += 1
        energies, _, _ = call(
            method, model, bqm, num_reads=2, num_sweeps=sweeps, seed=seed
        )
        spent = time.process_time() - start
        if energies.min() < best and spent < 1.2 * seconds:
            best, seen = energies.min(), spent
    return {"cut": -best, "seconds": seen}


# --- the page -------------------------------------------------------------------------


def seconds_text(value):
    return "never" if math.isinf(value) else f"{value:.2g}"


def target_rows(family, rows):
    peers = [r[1].value for r in rows if r[1] and r[0].startswith(("dwave", "openjij"))]
    lines = []
    for method, estimate, *rest in rows:
        if estimate is None:
            lines.append([family, method, "not within the seconds", "", "", "", ""])
            continue
        sweeps, seconds, rate, reads = rest
        interval = f"[{seconds_text(estimate.low)}, {seconds_text(estimate.high)}]"
        gain = min(peers, default=math.inf) / estimate.value
        gain = "" if not np.isfinite(gain) or gain == 0 else f"{gain:.2g}"
        tts = f"{seconds_text(estimate.value)} {interval}"
        lines.append(
            [
                family,
                method,
                tts,
                gain,
                sweeps,
                f"{seconds:.2g}",
                f"{rate:.2f} of {reads}",
            ]
        )
    return lines


def page(arguments, load):
    made = provenance()
    parts = [
        "# Ising samplers: flips, time to the ground state, cuts",
        f"Written by `benchmarks/ising.py`, whose head says what is measured. "
        f"{made['processor']}, one thread, Python {made['python']}, commit "
        f"{made['commit'][:10]}. {arguments.note}".rstrip(),
    ]
    available, absent = {}, []
    for family, (make, _) in FAMILIES.items():
        try:
            available[family] = make(0)
        except FileNotFoundError as error:
            absent.append(f"{family}: skipped. {error}")
    rows = []
    for family, model in available.items():
        job = functools.partial(flips, model, model.to_bqm(), arguments)
        rates = load(f"flips {family}", job)
        rows.append([family, *(f"{rate / 1e6:.0f}" for rate in rates.values())])
    names = ["instance", *FLIPS, "random numbers alone", "local fields alone"]
    parts += ["## Million attempted flips a second", markdown_table(names, rows)]
    lines, notes = [], []
    for family in available:
        rows, agree = target_table(family, arguments, load)
        lines += target_rows(family, rows)
        shares = ", ".join(f"{share:.2f}" for share in agree)
        notes.append(f"{family}: {shares}.")
    header = ["instance", "method", "TTS99 in s", "best peer over it", "sweeps"]
    parts += [
        "## Time to the ground state",
        markdown_table([*header, "s a read", "success of reads"], lines),
        "Long reads of replica exchange at the lowest energy, by instance: "
        + " ".join(notes),
    ]
    lines = []
    for name, best in BEST_KNOWN.items():
        for method in (OURS, "SA", "dwave SA"):
            try:
                job = functools.partial(cut, method, name, arguments.cut_seconds)
                found = load(f"cut {name} {method} {arguments.cut_seconds}", job)
            except FileNotFoundError as error:
                absent.append(f"{name}: skipped. {error}")
                break
            value = round(found["cut"])
            lines.append(
                [name, method, value, f"{value / best:.4f}", f"{found['seconds']:.1f}"]
            )
    header = ["graph", "method", "cut", "of the best known", "seen after s"]
    parts += [
        f"## Cuts within {arguments.cut_seconds:g} s",
        markdown_table(header, lines),
        *absent,
    ]
    return "\n\n".join(parts) + "\n"


def loader(folder):
    """``load(key, job)``: the record of a job, from its file or by running it."""

    def load(key, job):
        path = folder / f"{key.replace(' ', '_').replace('=', '')}.json"
        if path.exists():
            return json.loads(path.read_text())
        record = job()
        with write_atomically(path) as file:
            file.write(json.dumps(record).encode())
        print(key, flush=True)
        return record

    return load


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="about a minute")
    parser.add_argument("--instances", type=int, default=10, help="at most, a family")
    parser.add_argument("--flip-seconds", type=float, default=0.5)
    parser.add_argument(
        "--target-seconds", type=float, default=10.0, help="a method and family"
    )
    parser.add_argument("--long-seconds", type=float, default=3.0, help="an instance")
    parser.add_argument("--cut-seconds", type=float, default=20.0, help="a method")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parents[1] / "runs" / "benchmarks" / "ising",
        help="folder of the records",
    )
    parser.add_argument("--summary", type=Path, help="also write the tables here (.md)")
    parser.add_argument("--note", default="", help="a sentence for the page's head")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.instances, arguments.flip_seconds = 2, 0.05
        arguments.target_seconds, arguments.long_seconds = 0.8, 0.3
        arguments.cut_seconds = 1.0
        arguments.output = arguments.output / "quick"
    arguments.output.mkdir(parents=True, exist_ok=True)
    text = page(arguments, loader(arguments.output))
    publish(text, arguments.output / "ising.md", arguments.summary)


if __name__ == "__main__":
    main()
