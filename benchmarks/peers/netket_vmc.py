"""The same ground state by NetKet: a script, run by a Python that has NetKet.

    python netket_vmc.py '{"sites": 16, …}' out.npz

The settings and what is written are those of `job` below, which has its counterpart in
`benchmarks/neural_quantum_states.py`, whose head says how NetKet is called and why so.
"""

import json
import os
import sys
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import netket as nk
import numpy as np
import optax

VARIANTS = {  # chains (None: one a sample), operator, driver and its settings
    "its own choices, 16 chains": (16, "IsingJax", {}),
    "a chain a sample": (None, "IsingJax", {}),
    "a chain a sample, real": (None, "IsingJax", {"mode": "real"}),
    "a chain a sample, real, numba operator": (None, "IsingNumba", {"mode": "real"}),
    "a chain a sample, real, SR": (
        None,
        "IsingJax",
        {"mode": "real", "use_ntk": False},
    ),
    "a chain a sample, real, minSR": (
        None,
        "IsingJax",
        {"mode": "real", "use_ntk": True},
    ),
    "a chain a sample, SR of VMC": (None, "IsingJax", None),
}


def job(settings):
    """Train for some steps or seconds; times are CPU seconds since the process began.

    Returns
    -------
    dict of arrays
        imported; stamps (steps,), at the end of each step; places (k,), the steps whose
        weights are kept, and weights (k, ·): kernel, hidden bias, visible bias.
    """
    imported = time.process_time()
    sites, samples = settings["sites"], settings["samples"]
    chains, operator, choices = VARIANTS[settings["variant"]]
    space = nk.hilbert.Spin(0.5, sites)
    chain = nk.graph.Chain(sites, pbc=False)
    H = getattr(nk.operator, operator)(space, graph=chain, h=1.0, J=-1.0)
    normal = jax.nn.initializers.normal(settings["scale"])
    state = nk.vqs.MCState(
        nk.sampler.MetropolisLocal(space, n_chains=chains or samples, sweep_size=sites),
        nk.models.RBM(alpha=1, param_dtype=float, kernel_init=normal),
        n_samples=samples,
        n_discard_per_chain=0,
        seed=settings["seed"],
        sampler_seed=settings["seed"] + 1,
    )
    shift = settings["diag_shift"]
    step = optax.sgd(settings["learning_rate"] / 2)  # of twice the force
    if choices is None:
        metric = nk.optimizer.qgt.QGTJacobianDense()
        solver = nk.optimizer.solver.cholesky
        natural = nk.optimizer.SR(metric, diag_shift=shift, solver=solver)
        driver = nk.driver.VMC(H, step, variational_state=state, preconditioner=natural)
    else:
        driver = nk.driver.VMC_SR(
            H, step, diag_shift=shift, variational_state=state, **choices
        )
    stamps, places, kept = [], [], []

    def after(count, log, driver):
        weights = jax.block_until_ready(driver.state.parameters)
        stamps.append(time.process_time())
        if count % settings["every"] == 0:
            places.append(len(stamps) - 1)
            dense = weights["Dense"]
            parts = dense["kernel"].T, dense["bias"], weights["visible_bias"]
            kept.append(np.concatenate([np.ravel(part) for part in parts]))
        return stamps[-1] < settings["seconds"]

    driver.run(
        settings["steps"],
        out=nk.logging.RuntimeLog(),
        callback=after,
        show_progress=False,
    )
    return {
        "imported": imported,
        "stamps": stamps,
        "places": places,
        "weights": kept,
        "version": nk.__version__,
    }


if __name__ == "__main__":
    found = job(json.loads(sys.argv[1]))
    np.savez(sys.argv[2], **found)
