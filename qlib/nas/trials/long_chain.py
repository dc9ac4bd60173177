"""A long Ising chain from end to end: forecast, screen, search, sampled training, VMC.

Nothing of the long chain is diagonalised before it is needed: its entanglement is
forecast from 16 sites and fewer, the forecast screens the candidates, a search on
samples of the target picks one. What was picked is then measured by samples, beside
free fermions, which are exact, DMRG, and an architecture fixed beforehand.
"""

from dataclasses import dataclass

import numpy as np
import torch

from qlib.arguments import number_between
from qlib.entanglement import freefermions, hamiltonians
from qlib.entanglement.dmrg import dmrg
from qlib.nas.blocks import Product
from qlib.nas.screen import screen, smallest_bond_dim, smallest_hidden, smallest_range
from qlib.nas.search import search
from qlib.nas.targets import ChainTarget
from qlib.nas.tasks import Sampled
from qlib.nas.training import LEARNING_RATE, train
from qlib.nas.trials.forecast import SIZES, Forecast, forecast
from qlib.nas.trials.measurement import by_dmrg, cuts, fresh, measured
from qlib.nas.vmc.ground_state import ground_state

WANTED = 1e-2  # infidelity a candidate is to be able to reach
COARSE = 4  # bond dimension of DMRG with fewer numbers than a candidate
FIXED = "RBM, all sites"  # what is trained without a search: Carleo and Troyer's


@dataclass(frozen=True, eq=False)
class Chain:
    """The chain, its exact answers, and its target.

    Attributes
    ----------
    field : float
        h, of J = 1.
    states : dict
        Size to exact ground state at 4, 8 and 16 sites.
    target : ChainTarget
        By DMRG.
    energy : float
        Exact.
    spectra : list of N − 1 arrays
        Exact Schmidt probabilities, the 64 largest, summing to one.
    entropy, renyi2 : (N − 1,) arrays
        Exact, nats.
    coarse : ChainTarget
        By DMRG of bond dimension 4.
    dmrg_seconds, coarse_seconds : float
    """

    field: float
    states: dict
    target: ChainTarget
    energy: float
    spectra: list
    entropy: np.ndarray
    renyi2: np.ndarray
    coarse: ChainTarget
    dmrg_seconds: float
    coarse_seconds: float

    @property
    def num_sites(self):
        """N."""
        return self.target.num_sites


def chain(field, *, num_sites=64, bond_dim=24, clock):
    """The open Ising chain in a transverse field and what is known of it.

    Parameters
    ----------
    field : float
        h ≥ 1 = J: one ground state.
    num_sites : int, optional
        64 unless given.
    bond_dim : int, optional
        Of DMRG; 24 unless given.
    clock : callable
        Seconds.

    Returns
    -------
    Chain
    """
    field = number_between("field", field, 1, np.inf)
    H = hamiltonians.tfim(num_sites, field=field)
    exact = freefermions.ground_state(H)
    cuts = range(1, num_sites)
    spectra = [exact.schmidt_probabilities(cut) for cut in cuts]
    features = [exact.features(cut) for cut in cuts]
    name = f"Ising, h = {field:g}, {num_sites} sites"

    def by_dmrg(bond_dim):
        began = clock()
        found = dmrg(H, max_bond_dim=bond_dim)
        return ChainTarget(found.mps, name, H, found.energy), clock() - began

    (target, seconds), (coarse, coarse_seconds) = by_dmrg(bond_dim), by_dmrg(COARSE)
    smaller = {n: hamiltonians.tfim(n, field=field) for n in SIZES}
    return Chain(
        field,
        {n: freefermions.ground_state(one) for n, one in smaller.items()},
        target,
        exact.energy,
        [p / p.sum() for p in spectra],
        np.array([one.entropy for one in features]),
        np.array([one.renyi2 for one in features]),
        coarse,
        seconds,
        coarse_seconds,
    )


@dataclass(frozen=True, eq=False)
class Screened:
    """What forecast and exact spectra say of candidates.

    Attributes
    ----------
    forecast : Forecast
    bounds : dict
        Candidate to (forecast, exact) bound on its infidelity.
    settings : dict
        "bond dimension", "range", "hidden units", each to a dict: infidelity to
        (forecast, exact) least setting that could reach it.
    """

    forecast: Forecast
    bounds: dict
    settings: dict

    def kept(self, wanted=WANTED, *, exact=False):
        """Candidates whose bound is at most `wanted`."""
        return [
            name for name, bounds in self.bounds.items() if bounds[int(exact)] <= wanted
        ]


def screened(chain, blocks, predictor, *, infidelities=(1e-2, 1e-4, 1e-6)):
    """Screen candidates by forecast spectra, and by exact ones.

    Parameters
    ----------
    chain : Chain
    blocks : dict
        As by `candidates`.
    predictor
        Fitted, as `forecast` takes it.
    infidelities : sequence of float, optional

    Returns
    -------
    Screened
    """
    told = forecast(chain.states, chain.num_sites, predictor)
    both = told.spectra(), chain.spectra
    built = {
        name: build(generator=torch.Generator().manual_seed(0))
        for name, build in blocks.items()
    }
    rules = {
        "bond dimension": smallest_bond_dim,
        "range": smallest_range,
        "hidden units": smallest_hidden,
    }
    return Screened(
        told,
        {name: tuple(screen(p, one) for p in both) for name, one in built.items()},
        {
            name: {
                wanted: tuple(rule(p, wanted) for p in both) for wanted in infidelities
            }
            for name, rule in rules.items()
        },
    )


@dataclass(frozen=True, eq=False)
class Found:
    """A long chain from end to end.

    Attributes
    ----------
    chain : Chain
    screened : Screened
    searches : dict
        "forecast" and "exact" to the `SearchResult` among the candidates that these
        spectra keep: one and the same where they keep the same.
    infidelity : dict
        "search" and "fixed" to the (seeds,) infidelities of what was picked, and of the
        fixed architecture, by fresh samples.
    cuts : (cuts,) int array
        Where R₂ was measured.
    reached : list of Reached
        "DMRG", "DMRG, χ = 4", "search", "fixed", "search, then VMC",
        "fixed, then VMC", the
        last four of the first seed.
    """

    chain: Chain
    screened: Screened
    searches: dict
    infidelity: dict
    cuts: np.ndarray
    reached: list

    @property
    def search(self):
        """The search that the forecast led to."""
        return self.searches["forecast"]

    @property
    def nearer(self):
        """log10 infidelity of what was picked minus that of the fixed one, (seeds,)."""
        return np.log10(self.infidelity["search"] / self.infidelity["fixed"])

    def state(self, name):
        """The `Reached` of a name."""
        return next(one for one in self.reached if one.name == name)


def end_to_end(
    chain,
    blocks,
    predictor,
    *,
    wanted=WANTED,
    steps=300,
    trainings=3,
    samples=128,
    proposals=4,
    seeds=(0,),
    learning_rate=LEARNING_RATE,
    vmc_steps=30,
    vmc_samples=512,
    measured_samples=1024,
    clock,
):
    """Forecast, screen, search, train, measure, improve by VMC, and measure again.

    Parameters
    ----------
    chain : Chain
    blocks : dict
        Candidates, `FIXED` among them.
    predictor
        Fitted, as `forecast` takes it.
    wanted : float, optional
        Infidelity that candidates are to be able to reach; 0.01 unless given.
    steps : int, optional
        Of training an architecture alone; 300 unless given.
    trainings : int, optional
        How many of these the search may cost, its own last one included; the fixed
        architecture is trained for as many steps as cost the same.
    samples, proposals : int, optional
        Of `Sampled`.
    seeds : sequence of int, optional
        Of searches and trainings; the first one's states are measured.
    learning_rate : float, optional
        Of search and training; see `train`.
    vmc_steps, vmc_samples : int, optional
        Of `vmc.ground_state`, from the trained states.
    measured_samples : int, optional
        Of either state, behind energies, R₂ and infidelities.
    clock : callable
        Seconds.

    Returns
    -------
    Found

    Raises
    ------
    ValueError
        If `FIXED` is not among the blocks, or no candidate can reach `wanted`.
    """
    if FIXED not in blocks:
        raise ValueError(f"blocks: got {list(blocks)}; allowed: {FIXED} among them")
    task = Sampled(chain.target, samples=samples, proposals=proposals, seed=seeds[0])
    screens = screened(chain, blocks, predictor)
    shared = {"seeds": seeds, "learning_rate": learning_rate}
    halving = {"slots": 1, "steps": steps, "clock": clock, **shared}
    halving["budget"] = trainings * steps * task.cost("all")
    searches = {}
    for place, kind in enumerate(("forecast", "exact")):
        names = screens.kept(wanted, exact=bool(place))
        if not names:
            least = min(bounds[place] for bounds in screens.bounds.values())
            raise ValueError(f"wanted: got {wanted}; allowed: at least {least:.3g}")
        if place and names == screens.kept(wanted):
            searches[kind] = searches["forecast"]
            continue
        searches[kind] = search(task, {name: blocks[name] for name in names}, **halving)
    picked = searches["forecast"]
    began = clock()
    more = picked.evaluations // task.cost("all")
    fixed = train(blocks[FIXED], task, steps=more, **shared)
    spent = clock() - began
    reached = [
        by_dmrg("DMRG", chain.target, chain.dmrg_seconds, chain),
        by_dmrg(f"DMRG, χ = {COARSE}", chain.coarse, chain.coarse_seconds, chain),
    ]
    rest = {"chain": chain, "samples": measured_samples, "seed": seeds[0]}
    starts = {
        "search": (
            _alone(picked.blocks[0]),
            picked.seconds / len(seeds),
            picked.evaluations,
        ),
        "fixed": (fixed.block(), spent / len(seeds), fixed.evaluations),
    }
    for name, (block, seconds, evaluations) in starts.items():
        reached.append(measured(name, block, seconds, evaluations, **rest))
    settings = {"steps": vmc_steps, "samples": vmc_samples, "clock": clock}
    for name, (block, seconds, evaluations) in starts.items():
        generator = torch.Generator().manual_seed(seeds[0])
        H = chain.target.hamiltonian
        after = ground_state(H, block, generator=generator, **settings)
        seconds, evaluations = seconds + after.seconds, evaluations + after.evaluations
        then = f"{name}, then VMC"
        reached.append(measured(then, after.block, seconds, evaluations, **rest))
    blocks = {"search": picked.blocks, "fixed": map(fixed.block, range(len(seeds)))}
    infidelity = {
        name: _infidelities(found, seeds, chain, measured_samples)
        for name, found in blocks.items()
    }
    return Found(chain, screens, searches, infidelity, cuts(chain), reached)


def _infidelities(blocks, seeds, chain, samples):
    """Of each seed's block, by samples of its own, (seeds,)."""
    rest = {"chain": chain, "samples": samples}
    pairs = zip(blocks, seeds, strict=True)
    return np.array([fresh(_alone(one), seed=seed, **rest)[0] for one, seed in pairs])


def _alone(block):
    """The one block of a product of one: Monte Carlo knows short cuts for some."""
    if isinstance(block, Product) and len(block.blocks) == 1 and not block.marshall:
        return block.blocks[0]
    return block


def rows(found):
    """Rows (metric, value, labels) of one chain; seconds are `Reached.seconds`.

    Parameters
    ----------
    found : Found
    """
    chain, told = found.chain, found.screened.forecast
    where = {"field": chain.field, "sites": chain.num_sites}
    half = chain.num_sites // 2 - 1
    yield "entropy forecast, nats", told.entropy.value, where
    yield "entropy, nats", chain.entropy[half], where
    for name, value in told.baselines.items():
        yield "entropy forecast, nats", value, where | {"method": name}
    for setting, least in found.screened.settings.items():
        for infidelity, pair in least.items():
            for spectra, value in zip(("forecast", "exact"), pair, strict=True):
                if value is not None:
                    labels = {"infidelity": infidelity, "spectra": spectra}
                    yield f"least {setting}", value, where | labels
    for name, scores in found.infidelity.items():
        decades = np.log10(scores).mean()
        yield "log10 infidelity, mean over seeds", decades, where | {"state": name}
    for one in found.reached:
        labels = where | {"state": one.name}
        yield "relative error of the energy", one.energy_error.value, labels
        if one.infidelity is not None:
            yield "infidelity, sampled", one.infidelity, labels
        errors = one.renyi2 - chain.renyi2[found.cuts - 1]
        if np.isfinite(errors[-1]):
            yield "error of R2 at the half chain, nats", errors[-1], labels
        if one.evaluations is not None:
            yield "evaluations", one.evaluations, labels
