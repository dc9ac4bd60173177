"""Two-site DMRG by TeNPy, as `benchmarks/dmrg.py` measures it."""

import warnings
from dataclasses import dataclass

import numpy as np
from tenpy.algorithms.dmrg import TwoSiteDMRGEngine
from tenpy.models.tf_ising import TFIChain
from tenpy.models.xxz_chain import XXZChain
from tenpy.networks.mps import MPS

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
TENPY = {
    **{"combine": True, "N_sweeps_check": 1, "min_sweeps": 1, "max_sweeps": 30},
    "max_S_err": 1.0,  # the change of the energy alone ends the sweeps, as in ours
}


@dataclass
class Outcome:
    """What one run found."""

    energy: float
    bond_dim: int
    sweeps: int


def tenpy_ising(sites, conserve, mixer, lanczos, *, max_bond_dim, energy_tol):
    """The critical Ising chain, with keys of `MIXERS` and `LANCZOS`."""
    model = {"L": sites, "J": 1.0, "g": 1.0, "bc_MPS": "finite", "conserve": conserve}
    chain = TFIChain({**model, "sort_charge": True})
    truncation = {"chi_max": max_bond_dim, "svd_min": 1e-7}
    settings = {**MIXERS[mixer], **LANCZOS[lanczos]}
    return _run(chain, ["up"] * sites, truncation, settings, energy_tol)


def tenpy_heisenberg(sites, mixer, *, max_bond_dim, truncation, energy_tol):
    """The Heisenberg chain; `truncation` is the weight discarded at a bond."""
    model = {"L": sites, "Jxx": 1.0, "Jz": 1.0, "hz": 0.0, "bc_MPS": "finite"}
    chain = XXZChain({**model, "sort_charge": True})
    settings = {
        **MIXERS[mixer],
        "chi_list": {0: 16, 1: 64, 2: max_bond_dim},
        "lanczos_params": {"N_min": 2, "N_max": 5, "E_tol": 1e-12},
    }
    cut = {"chi_max": max_bond_dim, "svd_min": None, "trunc_cut": np.sqrt(truncation)}
    return _run(chain, ["up", "down"] * (sites // 2), cut, settings, energy_tol)


def _run(chain, start, truncation, settings, energy_tol):
    """Energy, largest bond dimension and sweeps.

    TeNPy's max_E_err is divided by max(E, 1), 1 for a negative energy: absolute, as
    ours.
    """
    options = {**TENPY, **settings, "trunc_params": truncation, "max_E_err": energy_tol}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own future arguments
        state = MPS.from_product_state(chain.lat.mps_sites(), start, bc="finite")
        engine = TwoSiteDMRGEngine(state, chain, options)
        energy, state = engine.run()
    state.entanglement_spectrum()
    return Outcome(energy, max(state.chi), engine.sweeps)
