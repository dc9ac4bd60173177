"""Variational Monte Carlo: time a step and to a given accuracy, against NetKet.

The critical transverse-field Ising chain, open, J = h = 1, whose energy is known
exactly; a restricted Boltzmann machine with as many hidden units as sites and real
weights (the ground state is positive), natural gradients, one thread. What an energy is
worth is not what its own samples say: the weights of every tenth step are handed over
and their energy computed by ours for both: exactly at N = 16, over all configurations;
at N = 50 from 16384 fresh samples, whose error stands in the table.

Every job is a process of its own, ours and NetKet's in turns on the same core. Times
are CPU seconds since the process began, so that a total has Python's start, imports,
and compilation: NetKet's by XLA, ours by numba, whose cache is empty (with it, what a
second run takes, stands beside). The time a step is the median over the steps of a job
after the third, and of `--repeats` jobs the least.

NetKet is called as somebody who knows it would: samples that go on from the last step's
configurations without a thermalisation, proposals of single flips, N between samples, a
chain a sample or its own 16, its driver `VMC_SR` with the form that it chooses and with
either form, the "real" mode for real states, the operator in jax and in numba, and the
older `VMC` with a dense metric and Cholesky. The fastest of these at a size is what
ratios are taken to, and what runs to the given accuracy. Settings of the optimisation
(samples, step, shift) are the same for both, and the fastest of those tried counts for
each; NetKet is told half the step, for its gradient of real weights is twice the force
that ours takes.

The floor is the arithmetic of our step (fields, ratios and proposals, the matrix of the
natural gradient and its Cholesky factor; 2 for a multiplication and an addition) over
the rate of this machine at 512 x 512 products of matrices.

    python benchmarks/neural_quantum_states.py --netket PYTHON --summary \
benchmarks/neural_quantum_states.md

NetKet is no dependency of this project: PYTHON is one that has it,
pip install netket==3.23.0
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before threads start
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

HERE = Path(__file__).resolve()
PEER = HERE.parent / "peers" / "netket_vmc.py"
VARIANTS = (  # of NetKet, named as in the peer's file
    "its own choices, 16 chains",
    "a chain a sample",
    "a chain a sample, real",
    "a chain a sample, real, numba operator",
    "a chain a sample, real, SR",
    "a chain a sample, real, minSR",
    "a chain a sample, SR of VMC",
)
TARGETS = {16: 5e-5, 50: 5e-4}  # relative errors of the energy
LIMITS = {16: 10.0, 50: 60.0}  # seconds aimed at
SETTINGS = {  # samples, learning rate, diagonal shift
    16: [(1024, 0.05, 1e-3), (512, 0.05, 1e-3)],
    50: [(1024, 0.05, 1e-3), (768, 0.1, 1e-2)],
}
STEPS = {16: 300, 50: 500}
STEADY = {16: 60, 50: 14}  # steps whose median is the time of one
SCALE = 0.3  # over the root of N: of the weights at the start
EVERY = 10
SECONDS = 240.0  # after which a job ends
STEP_AIM, TOTAL_AIM = 1.0, 0.5


# --- jobs -----------------------------------------------------------------------------


def job(settings):
    """Ours; the counterpart of `job` in peers/netket_vmc.py, whose docstring holds."""
    import torch

    from qlib.entanglement import hamiltonians
    from qlib.nas.blocks import RBM
    from qlib.nas.vmc import ground_state

    torch.set_num_threads(1)
    imported = time.process_time()
    generator = torch.Generator().manual_seed(settings["seed"])
    sites = settings["sites"]
    spread = settings["scale"] * sites**0.5  # RBM divides by it
    block = RBM(sites, real=True, scale=spread, generator=generator)
    stamps, places, kept = [], [], []

    def after(step, energy, block):
        stamps.append(time.process_time())
        if step % settings["every"] == 0:
            places.append(step)
            parts = block.weight, block.hidden_bias, block.visible_bias
            kept.append(torch.cat([part.detach().flatten() for part in parts]).numpy())

    ground_state(
        hamiltonians.tfim(sites),
        block,
        steps=settings["steps"],
        samples=settings["samples"],
        learning_rate=settings["learning_rate"],
        diag_shift=settings["diag_shift"],
        warm_up=0,
        final_samples=settings["samples"],
        generator=generator,
        callback=after,
    )
    return {"imported": imported, "stamps": stamps, "places": places, "weights": kept}


def run(python, script, environment, settings):
    """What a job wrote, as a dict of arrays."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.npz"
        arguments = [json.dumps(settings), str(out)]
        done = subprocess.run(
            [python, str(script), *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{script.name} {arguments[0]}: {done.stderr[-2000:]}")
        with np.load(out) as found:
            return dict(found)


def ours(settings, *, compiled=True):
    """Our job, with numba's cache as it stands or empty."""
    root = {"PYTHONPATH": str(HERE.parents[1])}
    if compiled:
        return run(sys.executable, HERE, root, settings)
    with tempfile.TemporaryDirectory() as cache:
        return run(sys.executable, HERE, {**root, "NUMBA_CACHE_DIR": cache}, settings)


def settings_of(sites, steps, samples, learning_rate, diag_shift):
    return {
        "sites": sites,
        "steps": steps,
        "samples": samples,
        "learning_rate": learning_rate,
        "diag_shift": diag_shift,
        "scale": SCALE / sites**0.5,
        "seed": 1,
        "every": EVERY,
        "seconds": SECONDS,
    }


# --- energies of weights --------------------------------------------------------------


class Judge:
    """Relative errors of the energy of real RBMs, the same for both."""

    def __init__(self, sites):
        import torch

        from qlib.entanglement import hamiltonians
        from qlib.nas.blocks import RBM
        from qlib.nas.vmc import LocalEnergy, Metropolis

        self.sites = sites
        self.H = hamiltonians.tfim(sites)
        self.exact = 1 - 1 / np.sin(np.pi / (4 * sites + 2))
        self.block = RBM(sites, real=True)
        self.local_energy = LocalEnergy(self.H)
        generator = torch.Generator().manual_seed(0)
        self.sampler = Metropolis(sites, 16384, generator=generator)

    def __call__(self, weights):
        """(E − exact) / |exact| of weights as jobs write them, and its error."""
        import torch

        sizes = self.sites**2, self.sites, self.sites
        pieces = torch.from_numpy(weights).split(sizes)
        with torch.no_grad():
            for parameter, piece in zip(self.block.parameters(), pieces, strict=True):
                parameter[:] = piece.reshape(parameter.shape)
            if self.sites <= 16:
                psi = self.block.vector().real.numpy()
                energy, error = psi @ (self.H.sparse() @ psi), 0.0
            else:
                energies = self.local_energy(
                    self.block, self.sampler.sweep(self.block, 10)
                )
                energy, error = energies.mean().item(), energies.std().item() / 128
        return (energy - self.exact) / abs(self.exact), error / abs(self.exact)


def reached(judge, found, target):
    """Place among the stamps at which two kept weights in a row are within a target.

    And the error and its own error there, or of the last weights if none is.
    """
    last = None
    for place, weights in zip(found["places"], found["weights"], strict=True):
        error = judge(weights)
        if last is not None and max(error[0], last[1][0]) <= target:
            return last
        last = place, error
    return None, last[1]


# --- measurements ---------------------------------------------------------------------


def steady(netket, sites, repeats):
    """Least median seconds a step of ours and of NetKet's variants, same settings."""
    settings = settings_of(sites, STEADY[sites], *SETTINGS[sites][0])
    times = {}
    for _ in range(repeats):
        for name in ("ours", *VARIANTS):
            if name == "ours":
                found = ours(settings)
            else:
                found = run(netket, PEER, {}, {**settings, "variant": name})
            middle = float(np.median(np.diff(found["stamps"])[2:]))
            times[name] = min(times.get(name, middle), middle)
    return times


def to_accuracy(netket, sites, variant):
    """Rows of runs: method, settings, seconds in parts, error reached."""
    judge, rows = Judge(sites), []
    for choice in SETTINGS[sites]:
        settings = settings_of(sites, STEPS[sites], *choice)
        runs = {
            "ours": ours(settings, compiled=False),
            "ours, compiled before": ours(settings),
            "NetKet": run(netket, PEER, {}, {**settings, "variant": variant}),
        }
        for name, found in runs.items():
            place, error = reached(judge, found, TARGETS[sites])
            stamps = found["stamps"]
            rows.append(
                {
                    "method": name,
                    "choice": choice,
                    "imports": float(found["imported"]),
                    "first": float(stamps[0] - found["imported"]),
                    "steps": None if place is None else int(place) + 1,
                    "total": None if place is None else float(stamps[place]),
                    "run": float(stamps[-1]),
                    "error": error,
                }
            )
    return rows


def dmrg_row(sites):
    from qlib.entanglement import hamiltonians
    from qlib.entanglement.dmrg import dmrg

    start = time.process_time()
    result = dmrg(hamiltonians.tfim(sites))
    seconds = time.process_time() - start
    exact = 1 - 1 / np.sin(np.pi / (4 * sites + 2))
    return seconds, (result.energy - exact) / abs(exact), max(result.bond_dims)


def operations(sites, samples):
    """Additions and multiplications of a step: see the head."""
    fields = 2 * 2 * samples * sites**2  # for proposals, for derivatives and ratios
    proposals = 2 * 3 * samples * sites**2  # and as much for the ratios
    parameters = sites * (sites + 2)
    if parameters <= samples:
        pairs = (sites + 1) * (sites + 2) // 2
        matrix = 2 * samples * pairs**2 + parameters**3 / 3
    else:
        matrix = 2 * samples**2 * (sites + 1) + samples**3 / 3
    return fields + proposals + matrix


def peak(size=512, repeats=10):
    """Operations a second of a product of large matrices."""
    one, other = np.random.default_rng(0).normal(size=(2, size, size))
    least = np.inf
    for _ in range(repeats):
        start = time.process_time()
        one @ other
        least = min(least, time.process_time() - start)
    return 2.0 * size**3 / least


# --- the page -------------------------------------------------------------------------


def steady_section(sites, times, rate):
    from qlib.workbook.benchmark import markdown_table

    best = min(VARIANTS, key=times.get)
    ratio = times["ours"] / times[best]
    samples, learning_rate, shift = SETTINGS[sites][0]
    floor = operations(sites, samples) / rate
    rows = [
        [
            name if name == "ours" else f"NetKet, {name}",
            f"{1e3 * seconds:.2f}",
            f"{seconds / times[best]:.2f}",
        ]
        for name, seconds in times.items()
    ]
    return [
        f"## A step at N = {sites}",
        f"{samples} samples, step {learning_rate:g}, shift {shift:g}. Ours takes "
        f"{ratio:.2f} of the time of NetKet's best ({best}); aimed at: at most "
        f"{STEP_AIM:g}. Floor: {operations(sites, samples) / 1e6:.0f} MFLOP, "
        f"{1e3 * floor:.2f} ms; ours takes {times['ours'] / floor:.1f} times that.",
        markdown_table(["method", "ms a step", "to NetKet's best"], rows),
    ]


def fastest(rows, method):
    """The row of a method that reached the accuracy first; None if none did."""
    within = [row for row in rows if row["method"] == method and row["total"]]
    return min(within, key=lambda row: row["total"], default=None)


def accuracy_section(sites, rows, chain, variant):
    from qlib.workbook.benchmark import markdown_table

    target, limit = TARGETS[sites], LIMITS[sites]
    found = {name: fastest(rows, name) for name in ("ours", "NetKet")}
    verdict = f"Ours does not reach it; aimed at: within {limit:g} s."
    if found["ours"]:
        total = found["ours"]["total"]
        verdict = f"Ours reaches it in {total:.1f} s; aimed at: at most {limit:g} s. "
        verdict += (
            f"That is {total / found['NetKet']['total']:.2f} of NetKet's "
            f"{found['NetKet']['total']:.1f} s; aimed at: at most {TOTAL_AIM:g}."
            if found["NetKet"]
            else "NetKet does not reach it within its run."
        )
    seconds, error, bond_dim = chain
    table = [
        [
            row["method"],
            row["choice"][0],
            f"{row['choice'][1]:g}",
            f"{row['choice'][2]:g}",
            f"{row['imports']:.1f}",
            f"{row['first']:.1f}",
            row["steps"] or "",
            f"{row['total']:.1f}" if row["total"] else f"not in {row['run']:.0f}",
            f"{row['error'][0]:.1e}" + (f" ± {row['error'][1]:.0e}" * (sites > 16)),
        ]
        for row in rows
    ]
    name = f"DMRG, {bond_dim} Schmidt values"
    table.append([name, *[""] * 6, f"{seconds:.2f}", f"{error:.0e}"])
    header = ["method", "samples", "step", "shift", "imports, s", "first step, s"]
    header += ["steps", "seconds in all", "relative error"]
    return [
        f"## N = {sites} to {target:.0e}",
        f"{verdict} NetKet: {variant}.",
        markdown_table(header, table),
    ]


def page(sections, repeats, load, rate, netket):
    from qlib.workbook.provenance import provenance

    made = provenance()
    packages = f"torch {version('torch')}, numba {version('numba')}, NetKet {netket}"
    head = [
        "# Variational Monte Carlo: a step, and a ground state",
        f"Written by `benchmarks/neural_quantum_states.py`, whose head says what is "
        f"measured. CPU seconds; a step: least of {repeats} medians; the rest once. "
        f"{made['processor']}, one thread, Python {made['python']}, {packages}. "
        f"Products of matrices at {rate / 1e9:.0f} GFLOP/s. Load average of the "
        f"{os.cpu_count()} cores {load:.1f} at the start, {os.getloadavg()[0]:.1f} at "
        f"the end, this run being 1 of it.",
    ]
    return "\n\n".join([*head, *sections]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--netket", default=sys.executable, help="a Python with NetKet")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--summary", type=Path)
    arguments = parser.parse_args()
    from qlib.workbook.benchmark import publish

    if hasattr(os, "sched_setaffinity"):  # jobs inherit the core
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    load, rate, sections = os.getloadavg()[0], peak(), []
    probe = {**settings_of(16, 1, *SETTINGS[16][0]), "variant": VARIANTS[0]}
    netket = run(arguments.netket, PEER, {}, probe)["version"]
    for sites in TARGETS:
        times = steady(arguments.netket, sites, arguments.repeats)
        sections += steady_section(sites, times, rate)
        best = min(VARIANTS, key=times.get)
        rows = to_accuracy(arguments.netket, sites, best)
        sections += accuracy_section(sites, rows, dmrg_row(sites), best)
    publish(page(sections, arguments.repeats, load, rate, netket), arguments.summary)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("{"):
        np.savez(sys.argv[2], **job(json.loads(sys.argv[1])))
    else:
        main()
