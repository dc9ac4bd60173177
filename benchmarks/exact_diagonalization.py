"""Exact diagonalisation: seconds and memory beside scipy, quimb and QuSpin.

The job: build the Hamiltonian, find its two lowest energies and the ground state, and
the Schmidt probabilities of the ground state at the half-chain cut. Every measurement
is a process of its own, one thread, that first does the whole job at N = 8 (imports,
compilation), then at N, again and again until a second is over. What counts is the
least CPU time of a job; the wall-clock time of the same job stands beside it. From
N = 20 on, where most jobs run once in a process, it is the least of `--repeats`
processes, the methods taking turns. Memory is the peak of the resident set during the
first job above the resident set before it (the peak is reset through /proc, so this
needs Linux).

Tolerance `TOL` for all: ours bounds by it the angle of the ground state to the true
one (its residual |Hv - Ev| over the gap) and the residual of the second level in
bandwidths, ARPACK its estimates of both residuals over the energy. The residual of the
ground state that is reached is computed after the clock has stopped. Energies and
entropies must agree over all methods to 1e-8; a method that does not is named under its
table.

Peers, as somebody who knows them would call them:

- scipy: a CSR matrix filled by bit operations on all states at once (the sum of
  Kronecker products and the chain grown site by site took 2 to 4 times as long to
  build), then `eigsh`; in the sector, rows and columns of its states alone.
- quimb: `ham_ising` and `ham_heis`, copied (what they return is read-only, which makes
  products 2 to 3 times slower); `SparseOperatorBuilder`, slower at N = 20, where there
  is no such function, with its U(1) Hilbert space in the sector; then `eigh`.
- QuSpin: `spin_basis_1d` without checks of symmetries, then `eigsh`. A second row has
  every symmetry of the chain: its second energy is the next of that symmetry alone and
  is not compared.

Entropies are from singular values of the (2^(N/2), 2^(N/2)) matrix of the state in all.

The floor is the time to read one vector and write another, 16 bytes a state, at the
rate at which this machine copies arrays, times our number of products H|v>: what a
Lanczos method that did nothing else would take. Our vectors are of one parity under the
flip of all spins, which all these chains conserve: half the states of the space.

The last table is the work of a data set: many Hamiltonians of all families, energies,
gap, and the features at every cut.

    python benchmarks/exact_diagonalization.py --summary benchmarks/\
exact_diagonalization.md

QuSpin is no dependency of this project. For its rows: pip install quspin==1.0.1
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from importlib import metadata, util
from math import comb
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before the threads start
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["NUMBA_NUM_THREADS"] = "1"

import numpy as np

from peers.exact_diagonalization import (
    DELTA,
    FIELD,
    TOL,
    Answer,
    our_hamiltonian,
    quimb,
    quspin,
    quspin_symmetric,
    scipy_csr,
)
from qlib.workbook.benchmark import markdown_table, publish
from qlib.workbook.provenance import provenance

SAME = 1e-8  # allowed difference of energies and entropies between methods
MIB = 1 << 20


def ours(model, N):
    from qlib.entanglement import exact, spectrum

    sector = exact.Sector(sz=0) if model == "XXZ, sz = 0" else None
    H = our_hamiltonian(model, N)
    found = exact.ground_state(H, k=2, sector=sector, tol=TOL)
    p = spectrum.schmidt_values(found.vector, N // 2) ** 2
    return Answer(found.energies, p, lambda: found.residual, found.products)


# --- one measurement, in a process of its own -----------------------------------------


METHODS = {
    "ours": ours,
    "scipy": scipy_csr,
    "quimb": quimb,
    "QuSpin": quspin,
    "QuSpin, all symmetries": quspin_symmetric,
}
MODELS = ("TFIM", "XXZ", "XXZ, sz = 0", "cluster")


def measure_one(method, model, N):
    """Seconds, bytes and answer of one job, as a dictionary."""
    METHODS[method](model, 8)
    before = memory("VmRSS", reset=True)
    peak, times, began = None, [], time.perf_counter()
    while not times or time.perf_counter() - began < 1:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = METHODS[method](model, N)
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
        peak = peak or memory("VmHWM")
    cpu, wall = min(times)
    p = answer.p[answer.p > 0]
    return {
        "cpu": cpu,
        "wall": wall,
        "memory": peak - before,
        "energies": np.sort(np.asarray(answer.energies)).tolist(),
        "entropy": float(-(p * np.log(p)).sum()),
        "residual": float(answer.residual()),
        "products": answer.products,
    }


def memory(what, reset=False):
    """Bytes of the resident set: VmRSS now, VmHWM at its peak since the reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{what}:\s+(\d+) kB", status).group(1))


def copy_rate(N):
    """Bytes a second, read and written, of copying 2^(N−1) float64."""
    source, target = np.ones(1 << N - 1), np.zeros(1 << N - 1)
    repeats = max(1, (1 << 22) >> N)
    best = np.inf
    for _ in range(15):
        start = time.perf_counter()
        for _ in range(repeats):
            np.copyto(target, source)
        best = min(best, (time.perf_counter() - start) / repeats)
    return {"rate": 2 * source.nbytes / best}


def in_process(*arguments):
    """The record that this file prints when it is asked for one measurement."""
    command = [sys.executable, __file__, "--one", *map(str, arguments)]
    root = Path(__file__).parents[1]
    paths = [str(root), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


# --- many Hamiltonians ----------------------------------------------------------------


def measure_many(points, sizes):
    """CPU seconds of a data set, its rows and its cuts."""
    from qlib.entanglement.dataset import make_dataset

    make_dataset(8, sizes=(8,), seed=1)
    start = time.process_time()
    made = make_dataset(points, sizes=sizes, seed=0)
    seconds = time.process_time() - start
    rows = len(made.table)
    return {"cpu": seconds, "rows": rows, "cuts": len(made.cuts)}


# --- the page -------------------------------------------------------------------------


def available():
    """Methods whose package is here, and a line on those left out."""
    names, notes = list(METHODS), []
    for package, install in (("quspin", "quspin==1.0.1"), ("quimb", "quimb==1.15.0")):
        if util.find_spec(package) is None:
            names = [n for n in names if not n.lower().startswith(package)]
            notes.append(f"{package} rows left out; for them: pip install {install}")
    return names, notes


def measure(models, sizes, methods, repeats):
    """{(model, N): {method: record}}, those of the least CPU time."""
    found = {}
    for model in models:
        for N in sizes:
            records = found[model, N] = {}
            for _ in range(repeats if N >= 20 else 1):
                for method in methods:
                    new = in_process(method, model, N)
                    old = records.get(method)
                    if old is None or new["cpu"] < old["cpu"]:
                        records[method] = new
            times = {m: round(r["cpu"], 3) for m, r in records.items()}
            print(model, N, times, file=sys.stderr, flush=True)
    return found


def disagreements(records):
    """Sentences on methods whose energies or entropy are not those of the others."""
    lines = []
    compared = {m: r for m, r in records.items() if m != "QuSpin, all symmetries"}
    middle = np.median([r["energies"] for r in compared.values()], axis=0)
    entropy = np.median([r["entropy"] for r in records.values()])
    for method, r in records.items():
        levels = 2 if method in compared else 1
        off = np.abs(np.array(r["energies"]) - middle)[:levels].max()
        apart = abs(r["entropy"] - entropy)
        if off > SAME or apart > SAME:
            lines.append(
                f"{method} differs by {off:.1e} in energy and {apart:.1e} in S."
            )
    return lines


def block_states(model, N):
    """States of one parity under the flip of all spins."""
    return (comb(N, N // 2) if model == "XXZ, sz = 0" else 1 << N) // 2


def table(model, found, rates):
    header = ["N", "method", "CPU s", "wall s", "ours / it", "MiB above import"]
    header += ["residual", "products", "floor, s"]
    rows, notes = [], []
    for (name, N), records in found.items():
        if name != model:
            continue
        for method, r in records.items():
            mine = method == "ours"
            floor = 16 * block_states(model, N) / rates[N] * r["products"]
            rows.append(
                [
                    N,
                    method,
                    f"{r['cpu']:.3g}",
                    f"{r['wall']:.3g}",
                    "" if mine else f"{records['ours']['cpu'] / r['cpu']:.2f}",
                    f"{r['memory'] / MIB:.0f}",
                    f"{r['residual']:.0e}",
                    r["products"] if mine else "",
                    f"{floor:.2g}" if mine else "",
                ]
            )
        notes += [f"N = {N}: {line}" for line in disagreements(records)]
        ground = records["ours"]
        notes.append(
            f"N = {N}: E0 = {ground['energies'][0]:.10f}, E1 = "
            f"{ground['energies'][1]:.10f}, S = {ground['entropy']:.10f}."
        )
    return markdown_table(header, rows) + "\n\n" + "\n".join(f"- {n}" for n in notes)


AIMS = (  # (models, peer, largest ratio at N = 20)
    (MODELS, "scipy", 0.5),
    (MODELS, "quimb", 0.35),
    (MODELS[2:3], "QuSpin", 1.5),
    (MODELS[2:3], "QuSpin, all symmetries", 1.5),
)


def aims(found, N):
    rows = []
    for models, peer, aim in AIMS:
        for model in models:
            records = found.get((model, N), {})
            if peer in records:
                ratio = records["ours"]["cpu"] / records[peer]["cpu"]
                verdict = "reached" if ratio <= aim else "missed"
                rows.append([model, f"of {peer}", f"{ratio:.2f}", aim, verdict])
    for model in MODELS:
        if (model, N) in found:
            used = found[model, N]["ours"]["memory"] / MIB
            verdict = "reached" if used <= 200 else "missed"
            rows.append([model, "MiB above import", f"{used:.0f}", 200, verdict])
    return markdown_table(["model", "ours", "measured", "at most", "aim"], rows)


def page(found, rates, many, arguments, notes, load):
    made = provenance()
    versions = {n: v for n, v in made["packages"].items() if n in ("numpy", "scipy")}
    for package in ("quimb", "quspin"):
        if util.find_spec(package):
            versions[package] = metadata.version(package)
    packages = ", ".join(f"{n} {v}" for n, v in versions.items())
    largest = max(arguments.sizes)
    copied = ", ".join(f"{r / 1e9:.1f} at N = {N}" for N, r in rates.items())
    parts = [
        "# Exact diagonalisation: seconds and memory",
        f"Written by `benchmarks/exact_diagonalization.py`, whose head says what is "
        f"measured; {arguments.repeats} processes a method from N = 20 on. "
        f"{made['processor']}, one thread, Python {made['python']}, {packages}, commit "
        f"{made['commit'][:10]}. Load "
        f"average of the {os.cpu_count()} cores {load:.1f} at the start, "
        f"{os.getloadavg()[0]:.1f} at the end, this run being 1 of it. Copies in GB/s: "
        f"{copied}. {arguments.note}".rstrip(),
        *notes,
        f"## Aims at N = {largest}",
        aims(found, largest),
    ]
    titles = {
        "TFIM": "open TFIM at J = h = 1",
        "XXZ": f"open XXZ chain at Δ = {DELTA}, all states",
        "XXZ, sz = 0": f"open XXZ chain at Δ = {DELTA}, U(1) sector sz = 0",
        "cluster": f"cluster ring at h = {FIELD} J",
    }
    for model in MODELS:
        if any(name == model for name, _ in found):
            parts += [f"## {titles[model]}", table(model, found, rates)]
    if many:
        parts += [
            "## Many Hamiltonians",
            f"{many['rows']} Hamiltonians at N = {arguments.many_sizes}, all families, "
            f"energies, gap and features at all {many['cuts']} cuts: "
            f"{many['cpu']:.1f} CPU seconds, {1e3 * many['cpu'] / many['rows']:.1f} ms "
            f"each (aim: 30 s for 2000).",
        ]
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[12, 14, 16, 18, 20])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--many", type=int, default=1000, help="points; 0 for none")
    parser.add_argument("--many-sizes", type=int, nargs="+", default=[10, 12])
    parser.add_argument("--summary", type=Path, help="also write the page here (.md)")
    parser.add_argument("--note", default="", help="a sentence for the page's head")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(*arguments.one)))
        return
    load = os.getloadavg()[0]
    methods, notes = available()
    found = measure(arguments.models, arguments.sizes, methods, arguments.repeats)
    rates = {N: in_process("copy", N)["rate"] for N in arguments.sizes}
    many = arguments.many and in_process("many", arguments.many, *arguments.many_sizes)
    text = page(found, rates, many, arguments, notes, load)
    publish(text, arguments.summary)


def one(kind, *rest):
    if kind == "copy":
        return copy_rate(int(rest[0]))
    if kind == "many":
        points, *sizes = map(int, rest)
        return measure_many(points, tuple(sizes))
    return measure_one(kind, rest[0], int(rest[1]))


if __name__ == "__main__":
    main()
