"""Two-site DMRG: seconds to a given accuracy, against TeNPy's in the same run.

First the critical transverse-field Ising chain of 64 sites, whose energy is known
exactly: seconds until the energy is within 1e-9, from building the operator to the
Schmidt values and, for ours, the variance. TeNPy's TwoSiteDMRGEngine is tried with and
without conserved parity, with mixer off and on, each with its own settings of Lanczos
and with those that an expert would choose (a ramp of bond dimensions, few products);
effective Hamiltonians combined, convergence asked for after every sweep. The fastest of
those within 1e-9 is what the ratio is taken to; both keep at most 24 Schmidt values. We
start from random states of the sites, TeNPy from spins along the field.

Then the Heisenberg chain of 50 sites at growing bond dimension, where TeNPy conserves
the total S^z (Neel start) and we conserve nothing: blocks pay as the matrices grow.
Last, ours alone at N = 64 on gapped and critical chains, with the energy's error where
free fermions give it.

The floor is the operations of the products that a run makes (Lanczos, operators of the
blocks, density matrices; 2 for a multiplication and an addition), counted as it runs,
over the rate of this machine at 512 x 512 products of matrices. Eigenvectors of density
matrices, and everything that is not a product, are above it.

Times are CPU time of the one thread, the methods taking turns, `--repeats` times; the
least counts, for other work on the machine only adds.

    python benchmarks/dmrg.py --summary benchmarks/dmrg.md

needs TeNPy: pip install physics-tenpy==1.1.1
"""

import argparse
import itertools
import os
import time
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy starts threads
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from tenpy.algorithms.dmrg import TwoSiteDMRGEngine
from tenpy.models.tf_ising import TFIChain
from tenpy.models.xxz_chain import XXZChain
from tenpy.networks.mps import MPS

from qlib.entanglement import freefermions, hamiltonians
from qlib.entanglement.dmrg import block, dmrg, effective, ground_state
from qlib.workbook.files import write_atomically
from qlib.workbook.provenance import provenance

ACCURACY = 1e-9  # of the Ising chain's energy
SITES = 64
EXACT = 1 - 1 / np.sin(np.pi / (4 * SITES + 2))
ISING = {"max_bond_dim": 24, "truncation": 1e-12}
HEISENBERG = 50
AIM = 1.0  # of TeNPy's seconds


# --- the peers ------------------------------------------------------------------------


LANCZOS = {
    "its own": {},
    "ramp, few products": {
        "chi_list": {0: 8, 1: 16, 2: 24},
        "lanczos_params": {"N_min": 2, "N_max": 5, "E_tol": 1e-12},
    },
}
MIXERS = {
    "off": {"mixer": False},
    "on": {
        "mixer": True,
        "mixer_params": {"amplitude": 1e-4, "decay": 10.0, "disable_after": 2},
    },
}
TENPY = {"combine": True, "N_sweeps_check": 1, "min_sweeps": 1, "max_sweeps": 30}


def tenpy_ising(conserve, mixer, lanczos):
    model = {"L": SITES, "J": 1.0, "g": 1.0, "bc_MPS": "finite", "conserve": conserve}
    chain = TFIChain({**model, "sort_charge": True})
    truncation = {"chi_max": ISING["max_bond_dim"], "svd_min": 1e-7}
    settings = {**MIXERS[mixer], **LANCZOS[lanczos]}
    return tenpy_run(chain, ["up"] * SITES, truncation, settings, 1e-9)


def tenpy_heisenberg(chi, mixer, tol):
    model = {"L": HEISENBERG, "Jxx": 1.0, "Jz": 1.0, "hz": 0.0, "bc_MPS": "finite"}
    chain = XXZChain({**model, "sort_charge": True})
    settings = {
        **MIXERS[mixer],
        "chi_list": {0: 16, 1: 64, 2: chi} if chi > 64 else {0: 16, 1: chi},
        "lanczos_params": {"N_min": 2, "N_max": 5, "E_tol": 1e-12},
    }
    truncation = {"chi_max": chi, "svd_min": 1e-7}
    return tenpy_run(
        chain, ["up", "down"] * (HEISENBERG // 2), truncation, settings, tol
    )


def tenpy_run(chain, start, truncation, settings, tol):
    """Energy, largest bond dimension and sweeps of TeNPy."""
    options = {**TENPY, **settings, "trunc_params": truncation}
    options["max_E_err"] = tol / HEISENBERG  # of the energy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own future arguments
        state = MPS.from_product_state(chain.lat.mps_sites(), start, bc="finite")
        engine = TwoSiteDMRGEngine(state, chain, options)
        energy, state = engine.run()
    state.entanglement_spectrum()
    return Outcome(energy, max(state.chi), engine.sweeps)


@dataclass
class Outcome:
    """What one run found."""

    energy: float
    bond_dim: int
    sweeps: int


def ours(H, **settings):
    result = dmrg(H, **settings)
    return Outcome(result.energy, max(result.bond_dims), result.sweeps)


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
        functions[name] = lambda choice=choice: tenpy_ising(*choice)
    return in_turns(functions, repeats), operations(lambda: dmrg(H, **ISING))


def measure_heisenberg(bond_dims, repeats, tol=1e-8):
    H = hamiltonians.xxz(HEISENBERG)
    rows = []
    for chi in bond_dims:
        settings = {"max_bond_dim": chi, "energy_tol": tol}
        functions = {"ours": lambda s=settings: ours(H, **s)}
        for mixer in MIXERS:
            functions[f"TeNPy, conserve Sz, mixer {mixer}"] = (
                lambda chi=chi, mixer=mixer: tenpy_heisenberg(chi, mixer, tol)
            )
        counted = operations(lambda s=settings: dmrg(H, **s))
        rows.append((chi, in_turns(functions, repeats), counted))
    return rows


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


def markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def fastest(times, within=None):
    """Name of TeNPy's fastest run, of those within ACCURACY of an energy."""
    names = [name for name in times if name != "ours"]
    if within is not None:
        exact = [n for n in names if abs(times[n][1].energy - within) < ACCURACY]
        names = exact or names
    return min(names, key=lambda name: times[name][0])


def ising_section(times, counted, rate):
    best = fastest(times, EXACT)
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
        markdown(header, rows),
    ]


def heisenberg_section(measured, rate):
    header = ["bond dimension", "method", "seconds", "to TeNPy's best", "energy"]
    header += ["sweeps", "floor, s"]
    rows = []
    for chi, times, counted in measured:
        best = times[fastest(times)][0]
        rows += [
            [
                chi,
                name,
                f"{seconds:.2f}",
                f"{seconds / best:.2f}",
                f"{found.energy:.10f}",
                found.sweeps,
                f"{counted / rate:.2f}" if name == "ours" else "",
            ]
            for name, (seconds, found) in times.items()
        ]
    return [
        f"## Heisenberg chain, N = {HEISENBERG}, by bond dimension",
        "Sweeps end when one moves the energy by less than 1e-8. We conserve nothing.",
        markdown(header, rows),
    ]


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
        markdown(header, table),
    ]


def page(sections, arguments, load, rate):
    made = provenance()
    packages = f"numpy {np.__version__}, physics-tenpy {version('physics-tenpy')}"
    head = [
        "# DMRG: seconds to a given accuracy",
        f"Written by `benchmarks/dmrg.py`, whose head says what is measured. Least of "
        f"{arguments.repeats} CPU times. {made['processor']}, one thread, "
        f"Python {made['python']}, {packages}. Products of matrices at "
        f"{rate / 1e9:.0f} GFLOP/s. Load average of the {os.cpu_count()} cores "
        f"{load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end, this run being "
        f"1 of it. {arguments.note}".rstrip(),
    ]
    return "\n\n".join([*head, *itertools.chain(*sections)]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bond-dims", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--summary", type=Path, help="also write the page here (.md)")
    parser.add_argument("--note", default="", help="a sentence for the page's head")
    arguments = parser.parse_args()
    load, rate = os.getloadavg()[0], peak()
    ising = measure_ising(arguments.repeats)
    sections = [
        ising_section(*ising, rate),
        heisenberg_section(measure_heisenberg(arguments.bond_dims, 1), rate),
        chains_section(measure_chains()),
    ]
    text = page(sections, arguments, load, rate)
    print(text)
    if arguments.summary:
        with write_atomically(arguments.summary) as file:
            file.write(text.encode())


if __name__ == "__main__":
    main()
