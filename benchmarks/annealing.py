"""Global optimisers at equal evaluations: `tunneling_annealing` against its peers.

Every method gets the same problems, the same budget and the same stopping rule, and
the harness, not the method, counts evaluations. A run ends at its first value within
1e-4 of the known minimum, or when the budget is gone; the first value within 0.1 is
noted on the way. No method is told the minimum or the target.

Problems: the 24 noiseless functions of the BBOB suite (package ``ioh``; Hansen, Finck,
Ros and Auger 2009) at d = 5 and 10, and Rastrigin's function shifted, and shifted and
rotated, at d = 5, 10, 20. Instances 1-15 are reported. All numbers in
`tunneling_annealing` were chosen on other instances of the same functions (101-124, up
to 24 a test), against the peers' times on 1-15; a first version was once run on 1-15,
and which functions to mend next was read off there. The peers' settings that are not
defaults were chosen on instances 101-102.

Peers, each restarted from new random points until it is stopped, are those of
`qlib.annealing.peers`, and ``DE tuned``, scipy's `differential_evolution` with a
population of 4 d, the best of ten settings tried (``best1bin`` or ``rand1bin``, 4 d or
8 d, three F, two CR). pycma runs without its ``bounds=`` option,
with which it took 1 to 2 times the evaluations on six functions tried.

ERT, the expected running time, is the evaluations of all runs, failures included, over
the number of successes. Where no run succeeded, what a single success would have given,
all evaluations spent, is printed with ``>`` and enters ratios and geometric means as it
stands. A function that neither of two methods has solved is left out of their mean.

Every run is saved as soon as it ends, so an interrupted benchmark goes on where it
stopped, and a method added later is measured alone.

    python benchmarks/annealing.py --functions f3,f15 --dims 5 --instances 1-3
"""

import argparse
import functools
import json
import math
import multiprocessing
import os
import time
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from qlib.annealing import peers
from qlib.annealing.measure import expected_running_time
from qlib.files import write_atomically
from qlib.workbook.benchmark import markdown_table, publish
from qlib.workbook.provenance import provenance

TARGETS = (1e-1, 1e-4)
SEPARABLE = ("f1", "f2", "f3", "f4", "f5")
UNIMODAL = tuple(f"f{n}" for n in range(6, 15))
MULTIMODAL = ("f3", "f4", *(f"f{n}" for n in range(15, 25)))


# --- the problems ---------------------------------------------------------------------


def bbob(number, dimension, instance):
    """Return function, minimum and bounds of one BBOB problem."""
    import ioh

    problem = ioh.get_problem(number, instance, dimension, ioh.ProblemClass.BBOB)
    return problem, problem.optimum.y, [(-5.0, 5.0)] * dimension


def rastrigin(rotated, dimension, instance):
    """Return shifted Rastrigin, its minimum and bounds; the instance is the seed."""
    rng = np.random.default_rng([dimension, instance])
    shift = rng.uniform(-4.0, 4.0, dimension)
    turned = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
    rotation = turned if rotated else np.eye(dimension)

    def function(x):
        z = rotation @ (x - shift)
        return 10 * dimension + z @ z - 10 * np.cos(2 * math.pi * z).sum()

    return function, 0.0, [(-5.12, 5.12)] * dimension


PROBLEMS = {f"f{n}": functools.partial(bbob, n) for n in range(1, 25)}
PROBLEMS["rastrigin"] = functools.partial(rastrigin, False)
PROBLEMS["rotated-rastrigin"] = functools.partial(rastrigin, True)


# --- the methods ----------------------------------------------------------------------


def tunneling_annealing(objective, bounds, rng):
    from qlib.annealing import tunneling_annealing

    tunneling_annealing(objective, bounds, maxfun=objective.budget, rng=rng)


OURS = "tunneling annealing"
METHODS = {
    OURS: tunneling_annealing,
    "dual annealing": peers.dual_annealing,
    "DE": peers.differential_evolution,
    "DE tuned": peers.tuned_differential_evolution,
    "basin hopping": peers.basin_hopping,
    "IPOP-CMA-ES": peers.ipop_cma_es,
    "BIPOP-CMA-ES": peers.bipop_cma_es,
    "random search": peers.random_search,
}


# --- runs and their records -----------------------------------------------------------


def run(method, problem, dimension, instance, budget):
    """One run: evaluations, first hits, seconds in all and inside the objective."""
    function, minimum, bounds = PROBLEMS[problem](dimension, instance)
    values = [minimum + target for target in TARGETS]
    seed = [zlib.crc32(f"{method} {problem}".encode()), dimension, instance]
    for allowed in (1, budget):  # the first pass pays for imports
        start = time.perf_counter()
        rng = np.random.default_rng(seed)
        seen = peers.first_hits(METHODS[method], function, bounds, values, allowed, rng)
        seconds = time.perf_counter() - start
    return {
        "evaluations": seen.evaluations,
        "hits": seen.hits,
        "seconds": seconds,
        "objective_seconds": seen.seconds,
    }


def saved(folder, method, problem, dimension):
    """Where the records of a group stand, and those there are, by instance."""
    path = folder / method.replace(" ", "_") / f"{problem}-d{dimension}.json"
    return path, json.loads(path.read_text()) if path.exists() else {}


def run_group(folder, method, problem, dimension, instances, budget):
    """Do the missing instances of one group; save each as soon as it ends."""
    path, records = saved(folder, method, problem, dimension)
    path.parent.mkdir(parents=True, exist_ok=True)
    for instance in instances:
        if str(instance) not in records:
            records[str(instance)] = run(method, problem, dimension, instance, budget)
            with write_atomically(path) as file:
                file.write(json.dumps(records).encode())
    return [records[str(instance)] for instance in instances]


def run_all(arguments):
    """Records by (method, problem, dimension), running what is missing."""
    folder = arguments.output / f"{arguments.budget}-evaluations-per-dimension"
    groups = [
        (method, problem, dimension)
        for method in arguments.methods
        for problem in arguments.functions
        for dimension in dimensions_of(problem, arguments.dims)
    ]
    jobs = {
        group: (folder, *group, arguments.instances, arguments.budget * group[2])
        for group in groups
    }
    if arguments.tables_only:
        wanted = {str(instance) for instance in arguments.instances}
        done = {g: j for g, j in jobs.items() if wanted <= saved(*j[:4])[1].keys()}
        return {group: run_group(*job) for group, job in done.items()}
    if arguments.jobs == 1:
        return {group: run_group(*job) for group, job in progress(jobs)}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool:
        futures = {pool.submit(run_group, *job): group for group, job in jobs.items()}
        done = {futures[future]: future for future in as_completed(futures)}
    return {group: done[group].result() for group in groups}


def progress(jobs):
    for number, (group, job) in enumerate(jobs.items(), 1):
        method, problem, dimension = group
        print(f"[{number}/{len(jobs)}] {method}, {problem}, {dimension}", flush=True)
        yield group, job


def dimensions_of(problem, dims):
    """BBOB in the dimensions asked for; Rastrigin in d = 20 besides."""
    return [*dims, 20] if "rastrigin" in problem and 20 not in dims else dims


# --- measures -------------------------------------------------------------------------


def running_time(runs, target):
    """ERT (or its lower bound), 90 % interval, successes and number of runs."""
    solved = [run["hits"][target] is not None for run in runs]
    spent = [run["hits"][target] or run["evaluations"] for run in runs]
    ert, low, high = expected_running_time(spent, solved, confidence=0.9, rng=0)
    return ert if any(solved) else sum(spent), low, high, sum(solved), len(runs)


def measure(records):
    """``table[target][problem, dimension][method]`` = ERT/d, interval/d, successes."""
    tables = []
    for target in range(len(TARGETS)):
        table = {}
        for (method, problem, dimension), runs in records.items():
            ert, low, high, *counts = running_time(runs, target)
            times = ert / dimension, low / dimension, high / dimension
            table.setdefault((problem, dimension), {})[method] = (*times, *counts)
        tables.append(table)
    return tables


def best_peer(row):
    """The peer that solves fastest in this row, a bound standing after any ERT."""
    rivals = [name for name in row if name != OURS]
    return min(rivals, key=lambda name: (row[name][3] == 0, row[name][0]))


def geometric_mean(table, problems, d, rival):
    """Geometric mean of ERT(ours)/ERT(rival) over rows that one of them solved."""
    logs = []
    for (problem, dimension), row in table.items():
        other = best_peer(row) if rival is None else rival
        if problem in problems and dimension == d and other in row:
            mine, theirs = row[OURS], row[other]
            if mine[3] or theirs[3]:
                logs.append(math.log(mine[0] / theirs[0]))
    return math.exp(sum(logs) / len(logs)) if logs else None


# --- the page -------------------------------------------------------------------------


def number(value):
    return f"{value:.0f}" if 100 <= value < math.inf else f"{value:.2g}"


def cell(measured, interval=False):
    ert, low, high, solved, runs = measured
    text = ("" if solved else ">") + number(ert)
    if interval and solved:
        text += f" [{number(low)}, {number(high)}]"
    return text if solved == runs else f"{text} ({solved}/{runs})"


def ratio_text(mine, theirs):
    """Ratio of ERTs, as a bound where one never succeeded."""
    if not mine[3] and not theirs[3]:
        return "–"
    sign = "" if mine[3] and theirs[3] else "<" if mine[3] else ">"
    return f"{sign}{mine[0] / theirs[0]:.2g}"


def misses(table):
    """The rows where ours needs more than twice the evaluations of the best peer."""
    found = []
    for (problem, dimension), row in table.items():
        mine, theirs = row[OURS], row[best_peer(row)]
        if theirs[3] and mine[0] > 2 * theirs[0]:
            found.append(f"{problem} d = {dimension} ({ratio_text(mine, theirs)})")
    return ", ".join(found) or "none"


def functions_table(table, methods):
    """ERT/d of every method; ours with interval, and its ratio to the best peer."""
    rows = []
    for (problem, dimension), row in table.items():
        rival = best_peer(row)
        ratio = ratio_text(row[OURS], row[rival])
        others = [cell(row[n]) if n in row else "" for n in methods if n != OURS]
        rows.append([problem, dimension, cell(row[OURS], True), ratio, rival, *others])
    header = ["problem", "d", OURS, "ratio to best peer", "best peer"]
    return markdown_table([*header, *(name for name in methods if name != OURS)], rows)


def means_table(table, methods, dims):
    """Geometric means of ratios: separable, unimodal, multimodal, Rastrigin apart."""
    groups = {
        "separable f1-f5": SEPARABLE,
        "unimodal f6-f14": UNIMODAL,
        "multimodal f3, f4, f15-f24": MULTIMODAL,
        "of these not separable: f15-f24": MULTIMODAL[2:],
        "Rastrigin, shifted": ("rastrigin",),
        "Rastrigin, shifted and rotated": ("rotated-rastrigin",),
    }
    rivals = [name for name in methods if name != OURS]
    rows = []
    for name, problems in groups.items():
        for d in dims:
            means = [geometric_mean(table, problems, d, r) for r in [*rivals, None]]
            if any(means):
                rows.append(
                    [name, d, *(f"{mean:.2g}" if mean else "" for mean in means)]
                )
    return markdown_table(
        ["functions", "d", *rivals, "best peer of each function"], rows
    )


def seconds_table(records, methods):
    """Microseconds an evaluation beyond the objective: median over all runs."""
    rows = []
    for method in methods:
        cost = [
            1e6 * (run["seconds"] - run["objective_seconds"]) / run["evaluations"]
            for (name, _, _), runs in records.items()
            if name == method
            for run in runs
        ]
        low, middle, high = np.quantile(cost, (0.1, 0.5, 0.9))
        rows.append([method, f"{middle:.0f}", f"{low:.0f} to {high:.0f}"])
    return markdown_table(["method", "µs an evaluation", "10 % to 90 % of runs"], rows)


def page(arguments, records):
    tables = measure(records)
    dims = sorted({dimension for _, _, dimension in records})
    made = provenance()
    shown = ("numpy", "scipy", "cma")
    packages = ", ".join(f"{name} {made['packages'][name]}" for name in shown)
    parts = [
        "# Annealing: evaluations to a target",
        f"Written by `benchmarks/annealing.py`, whose head says what is measured. "
        f"Instances {min(arguments.instances)}-{max(arguments.instances)}, at most "
        f"{arguments.budget} d evaluations a run. {made['processor']}, one thread a "
        f"run, Python {made['python']}, {packages}. {arguments.note}".rstrip(),
    ]
    for target, table in zip(TARGETS, tables, strict=True):
        parts += [
            f"## Target {target:g}",
            f"Geometric mean of ERT({OURS}) / ERT(peer); below 1 {OURS} needs fewer.",
            means_table(table, arguments.methods, dims),
            "ERT / d (solved runs of all, if not all), 90 % interval for ours.",
            functions_table(table, arguments.methods),
            f"More than twice the best peer: {misses(table)}.",
        ]
    parts.append("## Seconds beyond the objective")
    parts.append(seconds_table(records, arguments.methods))
    return "\n\n".join(parts) + "\n"


# --- the command line -----------------------------------------------------------------


def numbers(text):
    """``1-3,7`` as [1, 2, 3, 7]."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def names(allowed):
    def parse(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in allowed:
                raise argparse.ArgumentTypeError(
                    f"got {name!r}; allowed: {', '.join(allowed)}"
                )
        return chosen

    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--instances", type=numbers, default=numbers("1-15"))
    parser.add_argument("--dims", type=numbers, default=[5, 10])
    parser.add_argument("--functions", type=names(PROBLEMS), default=list(PROBLEMS))
    parser.add_argument("--methods", type=names(METHODS), default=list(METHODS))
    parser.add_argument(
        "--budget", type=int, default=10000, help="evaluations a run and dimension"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parents[1] / "runs" / "benchmarks" / "annealing",
        help="folder of the records",
    )
    parser.add_argument("--summary", type=Path, help="also write the tables here (.md)")
    parser.add_argument(
        "--tables-only", action="store_true", help="of complete groups; run nothing"
    )
    parser.add_argument("--note", default="", help="a sentence for the page's head")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    arguments.output.mkdir(parents=True, exist_ok=True)
    text = page(arguments, run_all(arguments))
    publish(text, arguments.output / "annealing.md", arguments.summary)


if __name__ == "__main__":
    main()
