"""Two-site DMRG: seconds to a given accuracy, against TeNPy's in the same run.

First the critical transverse-field Ising chain of 64 sites, whose energy is known
exactly: seconds until the energy is within 1e-9, from building the operator to the
Schmidt values and, for ours, the variance. TeNPy's TwoSiteDMRGEngine is tried with and
without conserved parity, with mixer off and on, each with its own settings of Lanczos
and with those that an expert would choose (a ramp of bond dimensions, few products);
effective Hamiltonians combined, convergence asked for after every sweep. The fastest of
those within 1e-9 is what the ratio is taken to; both keep at most 24 Schmidt values and
end when a sweep moves the energy by less than 1e-10. We start from random states of the
sites, TeNPy from spins along the field.

Then the Heisenberg chain of 50 sites, seconds to an equal error: its energy is known
from the Bethe ansatz of the open chain (Alcaraz et al., J. Phys. A 20, 6397 (1987)).
Both run with the same truncation, the weight that may be discarded at a bond
(`truncation` of ours, the square of TeNPy's `trunc_cut`), at each of several, with no
other bound on the bond dimension; sweeps end when one moves the energy by less than the
truncation times 100, or by less than 1e-11. For each error the fastest run of a method
within it counts. TeNPy conserves the total S^z (Neel start) and we conserve nothing:
blocks pay as the matrices grow.

Last, ours alone at N = 64 on gapped and critical chains, with the energy's error where
free fermions give it.

The floor is the operations of the products that a run makes (Lanczos, operators of the
blocks, density matrices; 2 for a multiplication and an addition), counted as it runs,
over the rate of this machine at 512 x 512 products of matrices. Eigenvectors of density
matrices, and everything that is not a product, are above it.

Times are CPU time of the one thread, the methods taking turns; on the Ising chain
`--repeats` times, of which the least counts, for other work on the machine only adds,
else once.

    python benchmarks/dmrg.py --summary benchmarks/dmrg.md

needs TeNPy: pip install physics-tenpy==1.1.1
"""

import argparse
import itertools
import os
import time
from importlib.metadata import version
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy starts threads
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from peers.dmrg import LANCZOS, MIXERS, Outcome, tenpy_heisenberg, tenpy_ising
from qlib.entanglement import freefermions, hamiltonians
from qlib.entanglement.dmrg import block, dmrg, effective, ground_state
from qlib.workbook.benchmark import markdown_table, publish
from qlib.workbook.provenance import provenance

ACCURACY = 1e-9  # of the Ising chain's energy
SITES = 64
EXACT = 1 - 1 / np.sin(np.pi / (4 * SITES + 2))
ISING = {"max_bond_dim": 24, "truncation": 1e-12, "energy_tol": 1e-10}
HEISENBERG = 50
ERRORS = (1e-7, 1e-9, 1e-11, 1e-12)  # of the Heisenberg chain's energy
TRUNCATIONS = (1e-10, 1e-12, 1e-14, 1e-15)
UNBOUNDED = 1024  # Schmidt values: more than any truncation above leaves
AIM = 1.0  # of TeNPy's seconds


def ours(H, **settings):
    result = dmrg(H, **settings)
    return Outcome(result.energy, max(result.bond_dims), result.sweeps)


# --- the Heisenberg chain, exactly ----------------------------------------------------


def bethe_energy(sites):
    """Ground-state energy of the open Heisenberg chain, by Newton's method.

    4 N arctan(2 x_j) = 2 pi j + sum over k != j of 2 arctan(x_j - x_k) + 2 arctan(x_j +
    x_k) for j = 1 … N/2; E = (N - 1)/4 - sum over j of 1 / (2 x_j^2 + 1/2).
    """
    numbers = np.arange(1, sites // 2 + 1)
    x = np.tan(0.45 * np.pi * numbers / (sites + 1)) / 2
    others = ~np.eye(len(x), dtype=bool)
    for _ in range(50):
        minus, plus = x[:, None] - x, x[:, None] + x
        phases = 2 * others * (np.arctan(minus) + np.arctan(plus))
        miss = 4 * sites * np.arctan(2 * x) - 2 * np.pi * numbers - phases.sum(axis=1)
        by_minus, by_plus = 2 * others / (1 + minus**2), 2 * others / (1 + plus**2)
        diagonal = 8 * sites / (1 + 4 * x**2) - (by_minus + by_plus).sum(axis=1)
        step = np.linalg.solve(np.diag(diagonal) + by_minus - by_plus, miss)
        x = x - step
        if np.abs(step).max() < 1e-13 * np.abs(x).max():
            return (sites - 1) / 4 - np.sum(1 / (2 * x**2 + 0.5))
    raise RuntimeError(f"Bethe equations of {sites} sites: last step {step}")


BETHE = bethe_energy(HEISENBERG)


def energy_tol(truncation):
    """Change of the energy in a sweep at which sweeps end."""
    return max(100 * truncation, 1e-11)


# --- times and operations -------------------------------------------------------------


def in_turns(functions, repeats):
    """Least seconds of each function, and what its last call returned."""
    least, found = dict.fromkeys(functions, float("inf")), {}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.process_time()
            found[name] = function()
            least[name] = min(least[name], time.process_time() - start)
    return {name: (least[name], found[name]) for name in functions}


def operations(function):
    """Additions and multiplications of the matrix products that `function` makes."""
    total = 0.0

    def product(rows, inner, columns):
        nonlocal total
        total += 2.0 * rows * inner * columns

    def call(self, theta):
        rows, columns = theta.shape
        product(rows, rows, columns)
        product(rows, columns, columns)
        product(4, 4, rows * columns // 4)
        for one, other in self.crossing:
            product(rows, len(one), columns)
            product(columns, len(other), rows)
        return original["call"](self, theta)

    def project(operators, isometry):
        rows, columns = isometry.shape
        for operator in operators:
            if operator is not None:
                product(rows, len(operator), columns)
                product(columns, rows, columns)
        return original["project"](operators, isometry)

    def split(theta, *arguments):
        rows, columns = theta.shape
        product(rows, columns, rows)
        isometry, center, lost = original["split"](theta, *arguments)
        product(isometry.shape[1], rows, columns)
        return isometry, center, lost

    original = {
        "call": effective.TwoSites.__call__,
        "project": block.project,
        "split": ground_state._split,
    }
    with (
        mock.patch.object(effective.TwoSites, "__call__", call),
        mock.patch.object(block, "project", project),
        mock.patch.object(ground_state, "_split", split),
    ):
        function()
    return total


def peak(size=512, repeats=10):
    """Operations a second of a product of large matrices."""
    one, other = np.random.default_rng(0).normal(size=(2, size, size))
    times = in_turns({"product": lambda: one @ other}, repeats)
    return 2.0 * size**3 / times["product"][0]


# --- the three tables -----------------------------------------------------------------


def measure_ising(repeats):
    H = hamiltonians.tfim(SITES)
    functions = {"ours": lambda: ours(hamiltonians.tfim(SITES), **ISING)}
    for choice in itertools.product(("parity", None), MIXERS, LANCZOS):
        name = "TeNPy, conserve {}, mixer {}, Lanczos {}".format(*choice)
        functions[name] = lambda choice=choice: tenpy_ising(
            SITES,
            *choice,
            max_bond_dim=ISING["max_bond_dim"],
            energy_tol=ISING["energy_tol"],
        )
    return in_turns(functions, repeats), operations(lambda: dmrg(H, **ISING))


def measure_heisenberg():
    """By method: (truncation, seconds, outcome) of each run."""
    runs = {"ours": []} | {f"TeNPy, conserve Sz, mixer {m}": [] for m in MIXERS}
    for truncation in TRUNCATIONS:
        settings = {
            "max_bond_dim": UNBOUNDED,
            "truncation": truncation,
            "energy_tol": energy_tol(truncation),
        }
        functions = {"ours": lambda s=settings: ours(hamiltonians.xxz(HEISENBERG), **s)}
        for mixer in MIXERS:
            functions[f"TeNPy, conserve Sz, mixer {mixer}"] = (
                lambda mixer=mixer, s=settings: tenpy_heisenberg(HEISENBERG, mixer, **s)
            )
        for name, (seconds, found) in in_turns(functions, 1).items():
            runs[name].append((truncation, seconds, found))
    return runs


CHAINS = {
    "tfim, h = 2": (hamiltonians.tfim(SITES, field=2.0), True),
    "tfim, h = 1, critical": (hamiltonians.tfim(SITES), True),
    "tfim, h = 0.5, ordered": (hamiltonians.tfim(SITES, field=0.5), True),
    "ssh, delta = 0.3": (hamiltonians.ssh(SITES, 0.3), True),
    "xxz, delta = 2": (hamiltonians.xxz(SITES, 2.0), False),
    "xxz, delta = 0, critical": (hamiltonians.xxz(SITES, 0.0), True),
    "xxz, delta = 0.5, critical": (hamiltonians.xxz(SITES, 0.5), False),
    "xxz, delta = 1, critical": (hamiltonians.xxz(SITES, 1.0), False),
    "j1j2, j2 = 0.5, dimers": (hamiltonians.j1j2(SITES, 0.5), False),
    "j1j2, j2 = 0.3": (hamiltonians.j1j2(SITES, 0.3), False),
    "cluster, h = 0.5": (hamiltonians.cluster(SITES, 0.5), False),
    "long-range Ising, alpha = 2": (hamiltonians.long_range_ising(SITES, 2.0), False),
    "tfim ring, h = 1, critical": (hamiltonians.tfim(SITES, boundary="periodic"), True),
}


def measure_chains(max_bond_dim=128):
    rows = []
    for name, (H, free) in CHAINS.items():
        start = time.process_time()
        result = dmrg(H, max_bond_dim=max_bond_dim)
        spent = time.process_time() - start
        error = result.energy - freefermions.ground_state(H).energy if free else None
        rows.append((name, spent, result, error))
    return rows


# --- the page -------------------------------------------------------------------------


def fastest_peer(times):
    """Name of TeNPy's fastest run on the Ising chain, of those within ACCURACY."""
    names = [name for name in times if name != "ours"]
    exact = [name for name in names if abs(times[name][1].energy - EXACT) < ACCURACY]
    return min(exact or names, key=lambda name: times[name][0])


def ising_section(times, counted, rate):
    best = fastest_peer(times)
    spent, outcome = times["ours"]
    header = ["method", "seconds", "to TeNPy's best", "energy − exact"]
    header += ["bond dimension", "sweeps"]
    rows = [
        [
            name,
            f"{seconds:.3f}",
            f"{seconds / times[best][0]:.3f}",
            f"{found.energy - EXACT:.1e}",
            found.bond_dim,
            found.sweeps,
        ]
        for name, (seconds, found) in times.items()
    ]
    reached = abs(outcome.energy - EXACT) < ACCURACY
    return [
        f"## Ising chain, N = {SITES}, J = h = 1, to {ACCURACY:.0e}",
        f"Ours takes {spent / times[best][0]:.3f} of the time of TeNPy's best "
        f"({best.removeprefix('TeNPy, ')}); aimed at: at most {AIM:g}. The accuracy is "
        f"{'reached' if reached else 'not reached'}. Floor: {counted / 1e9:.2f} GFLOP, "
        f"{counted / rate:.3f} s; ours takes {spent * rate / counted:.1f} times that.",
        markdown_table(header, rows),
    ]


def fastest_within(runs, error):
    """The fastest of the runs within an error of the exact energy; None if none is."""
    exact = [run for run in runs if abs(run[2].energy - BETHE) <= error]
    return min(exact, key=lambda run: run[1], default=None)


def heisenberg_section(runs):
    header = ["error at most", "method", "seconds", "to TeNPy's best"]
    header += ["energy − exact", "bond dimension", "sweeps", "truncation"]
    rows, slower = [], []
    for error in ERRORS:
        found = {name: fastest_within(runs[name], error) for name in runs}
        peers = [run[1] for name, run in found.items() if run and name != "ours"]
        best = min(peers, default=np.nan)
        for name, run in found.items():
            if run is None:
                rows.append([f"{error:.0e}", name, "not reached", *[""] * 5])
                continue
            truncation, seconds, outcome = run
            values = [f"{error:.0e}", name, f"{seconds:.2f}", f"{seconds / best:.2f}"]
            values += [f"{outcome.energy - BETHE:.1e}", outcome.bond_dim]
            rows.append([*values, outcome.sweeps, f"{truncation:.0e}"])
        if found["ours"] is None or found["ours"][1] > best:
            slower.append(f"{error:.0e}")
    verdict = (
        f"TeNPy, whose matrices fall into blocks of S^z, is the faster at "
        f"{', '.join(slower)}."
        if slower
        else "Ours is the faster at each error asked for."
    )
    return [
        f"## Heisenberg chain, N = {HEISENBERG}, seconds to an equal error",
        f"Exact energy, by the Bethe ansatz: {BETHE:.10f}. The same truncations for "
        f"both, each row the fastest run within its error; one run each. {verdict}",
        markdown_table(header, rows),
        "All runs, by truncation:",
        all_runs(runs),
    ]


def all_runs(runs):
    header = ["truncation", "method", "seconds", "energy", "energy − exact"]
    header += ["bond dimension", "sweeps"]
    rows = [
        [
            f"{truncation:.0e}",
            name,
            f"{seconds:.2f}",
            f"{found.energy:.12f}",
            f"{found.energy - BETHE:.1e}",
            found.bond_dim,
            found.sweeps,
        ]
        for together in zip(*runs.values(), strict=True)
        for name, (truncation, seconds, found) in zip(runs, together, strict=True)
    ]
    return markdown_table(header, rows)


def chains_section(rows):
    header = ["chain", "seconds", "bond dimension", "sweeps", "variance"]
    header += ["energy − exact", "converged", "broken symmetries"]
    table = [
        [
            name,
            f"{spent:.2f}",
            max(result.bond_dims),
            result.sweeps,
            f"{result.variance:.0e}",
            "" if error is None else f"{error:.0e}",
            "yes" if result.converged else result.message.partition(": ")[2],
            ", ".join(result.broken_symmetries),
        ]
        for name, spent, result, error in rows
    ]
    return [
        f"## Ours at N = {SITES}, default settings",
        "At most 128 Schmidt values, weight 1e-12 discarded, energy to 1e-10 a sweep.",
        markdown_table(header, table),
    ]


def page(sections, arguments, load, rate):
    made = provenance()
    packages = f"numpy {np.__version__}, physics-tenpy {version('physics-tenpy')}"
    head = [
        "# DMRG: seconds to a given accuracy",
        f"Written by `benchmarks/dmrg.py`, whose head says what is measured. CPU "
        f"seconds, the least of {arguments.repeats} on the Ising chain, else of 1. "
        f"{made['processor']}, one thread, Python {made['python']}, {packages}. "
        f"Products of matrices at "
        f"{rate / 1e9:.0f} GFLOP/s. Load average of the {os.cpu_count()} cores "
        f"{load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end, this run being "
        f"1 of it. {arguments.note}".rstrip(),
    ]
    return "\n\n".join([*head, *itertools.chain(*sections)]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--summary", type=Path, help="also write the page here (.md)")
    parser.add_argument("--note", default="", help="a sentence for the page's head")
    arguments = parser.parse_args()
    load, rate = os.getloadavg()[0], peak()
    ising = measure_ising(arguments.repeats)
    sections = [
        ising_section(*ising, rate),
        heisenberg_section(measure_heisenberg()),
        chains_section(measure_chains()),
    ]
    text = page(sections, arguments, load, rate)
    publish(text, arguments.summary)


if __name__ == "__main__":
    main()
