"""Verdicts follow the measurements: with random search in a method's place they change.

In 01 QIA is replaced: proposals ten boxes wide, folded back and always accepted, are
uniform points. Such a walk is never stuck and visits every basin, and it does not find
the minimum.

In 02 SA is replaced where it chooses one-bit codes and masks: they are drawn at random,
the codes with scale and bias fitted as all methods have. No claim of those holds with
SA itself, so that their measured values must move. SGD on the last layer is replaced by
a random head, and annealing, which does not beat SGD, beats that.

In 03 QIMAD is replaced on landscapes by uniform points, and on networks by weights
drawn anew in each step: one agent then is not RMSprop, and a swarm loses clearly.

In 04 every RBM's state is replaced by a Haar-random one, a forest's answers by those of
a guess, and the size flow's by random numbers.

In 05 the fitted threshold's blocks are drawn at random, and the architectures that
successive halving goes on with: a forest then picks clearly better than a threshold,
and halving picks worse than it does.

In 06 every sampler reads keys taken by chance, with their softmax weights: it is no
better than such keys, no sampler is better than another, and theory's line is missed.

What the claims looked at do not rest on is computed more briefly than in the quick run
that they are compared with; what they rest on is computed as there.
"""

import json
from pathlib import Path

import nbformat
import pytest

from qlib.attention.claims import CLAIMS as OF_ATTENTION
from qlib.entanglement.claims import CLAIMS as OF_STATES
from qlib.nas.claims import CLAIMS as OF_BLOCKS
from qlib.optim.claims import CLAIMS as OF_SWARMS
from qlib.weights.claims import CLAIMS
from qlib.workbook.execute import run_notebook
from qlib.workbook.parameters import resolve_parameters

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
QIA = "QIA = partial(qa.quantum_inspired_annealing, particles=particles)"
RANDOM_POINTS = """
def QIA(*args, step=0, tunnelling=0, pull=0, particles=0, **rest):
    hot = dict(step=10, thermal_step=False, cooling=lambda progress: 1e300)
    ignored = ("temperature_ratio", "thermal_step")
    rest = {name: value for name, value in rest.items() if name not in ignored}
    return qa.simulated_annealing(*args, replicas=5, **hot, **rest)
"""
BRIEF_FIRST = {
    "(100, 10, 2)": "(100, 3, 2)",
    "brief = tuning | dict(runs=30)": "brief = tuning | dict(runs=10, count=3)",
    "(1, 2, 5))": "(1, 2))",
    "runs=100 if full else 30": "runs=5",
}
FIRST = {
    "QIA finds the minimum of the double Rastrigin function",
    "QIA has fewer stuck iterations than SA in the middle of a run",
    "QIA has fewer stuck iterations than an SA whose step never narrows",
    "QIA explores more broadly than SA",
}
GENERATOR = "rng = np.random.default_rng(seed)"
RANDOM_CODES = f"""{GENERATOR}
from types import SimpleNamespace
from qlib.weights.trials import heads as heads_trials

def random_search(study, width, start, rng, **ignored):
    return bits.drawn(study, width, start, rng, tries=10)

def random_mask(model, keep, *, seed, **ignored):
    mask = pruning.pruning.random_mask(model.num_spins, keep, seed)
    return SimpleNamespace(kept=mask)

def random_head(features, labels, *, rng, **ignored):
    shape = features.shape[1], labels.max() + 1
    weights = rng.normal(size=shape) / np.sqrt(shape[0])
    return SimpleNamespace(weights=weights, bias=np.zeros(shape[1]))

bits.METHODS["SA"] = random_search
pruning.pruning.anneal = random_mask
heads_trials.train_last_layer = random_head
"""
SECOND = {CLAIMS[key]["text"] for key in ("escapes", "convergence", "accuracy")}
MOVED = {"binary loss": 0.3, "path integral": -0.3, "pruning": 1.0, "overfits": 0.1}
MOVED = {CLAIMS[key]["text"]: least for key, least in MOVED.items()}
FULL = 'full = profile == "full"'
RANDOM_SWARM = f"""{FULL}
import torch
from qlib.optim.trials import descents

class RandomWeights(known.QIMAD):
    def step(self, closure):
        loss = super().step(closure)
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                agents = self.state[parameter]["agents"].normal_()
                parameter.copy_(agents[0])
        return loss

known.QIMAD = networks.QIMAD = RandomWeights
swarms.METHOD["QIMAD"] = descents.random_search, dict(), []
"""
BRIEF_THIRD = {
    "contest(n, **effort, **again)": """contest(
        n, **effort, **again if n == "Rastrigin" else again | BRIEF)""",
    "again |= dict(": "BRIEF = dict(tries=1, runs=2, replicates=2)\nagain |= dict(",
    "runs=20 if full else 4)": "runs=2)",
    "fair = dict(gradients=passes[name], seeds=seeds, clock=clock)\n    shown": (
        "fair = dict(gradients=20, seeds=seeds, clock=clock)\n    shown"
    ),
    "400 if full else 40\n": "4\n",
}
THIRD = {OF_SWARMS["single"]["text"]}
MOVED_SWARMS = {"Rastrigin": 2.0, "digits gradients": 5.0, "digits ensemble": 1.0}
MOVED_SWARMS = {OF_SWARMS[key]["text"]: least for key, least in MOVED_SWARMS.items()}
RANDOM_STATES = f"""{FULL}
from dataclasses import replace
from qlib.entanglement.rbm import RBM

class RandomNumbers(reach.SizeFlow):
    def predict(self, points, doublings=2):
        found = super().predict(points, doublings)
        return [replace(one, value=2 * rng.random(len(points))) for one in found]

def guess(found, parts, rng):
    return np.random.default_rng(rng).permutation(found.phase)

RBM.vector = lambda self: closed_forms.haar_vector(self.num_sites, rng)
phases._named = guess
reach.METHODS["size flow"] = RandomNumbers
"""
FOURTH = {OF_STATES[key]["text"] for key in ("short", "bound", "form")}
MOVED_STATES = {"short": 0.5, "construction": 0.1, "points": -0.3, "flow": 0.2}
MOVED_STATES = {OF_STATES[key]["text"]: least for key, least in MOVED_STATES.items()}
RANDOM_PICKS = f"""{FULL}
import torch
from qlib.nas.search import alone as searches

best_of = searches.best_of

def drawn(table, count):
    source = torch.Generator().manual_seed(1)
    chance = torch.rand(len(table), 10**4, generator=source).double()
    pairs = zip(table.items(), chance, strict=True)
    scores = {{n: s.where(s.isnan(), c[: len(s)]) for (n, s), c in pairs}}
    return best_of(scores, count)

def guess(features, regret):
    blocks = regret.shape[1]
    return lambda asked: np.random.default_rng(1).integers(blocks, size=len(asked))

searches.best_of = drawn
scoring.FITTED["one threshold"] = guess
"""
BRIEF_FIFTH = {
    "if full else (6, 100)": "if full else (6, 5)",
    "steps = 300 if full else 20": "steps = 2",
    "N = 64 if full else 32": "N = 16",
    "steps = 300 if full else 40\nchains": "steps = 2\nchains",
}
FIFTH = {OF_BLOCKS["readable"]["text"]}
MOVED_PICKS = {OF_BLOCKS["halving"]["text"]: 0.05}
RANDOM_KEYS = f"""{FULL}
from dataclasses import replace as with_fields
from qlib.attention import backends
from qlib.attention.trials.references import by_chance

def drawn(
    q, k, v, mask, *, generator, need_weights, samples=32, target_error=0.1,
    max_samples=64, sort_values=True, top=None, **call
):
    given = dict(generator=generator, need_weights=True, **call)
    shown = backends.BACKENDS["math"].attend(q, k, v, mask, **given)
    kept = by_chance(shown.weights, samples, generator)
    kept = kept / kept.sum(-1, keepdim=True)
    error, read = torch.zeros_like(shown.output), float(samples)
    info = with_fields(shown.info, standard_error=error, values_touched=read)
    return with_fields(shown, output=kept @ v, weights=kept, info=info)

for key, one in backends.BACKENDS.items():
    if one.stochastic:
        backends.BACKENDS[key] = with_fields(one, attend=drawn)
"""
SIXTH = ("stratified", "top-k and rest", "control variate", "chance", "theory")
SIXTH = {OF_ATTENTION[key]["text"] for key in SIXTH}
BRIEF_SIXTH = {
    "is_causal=one.is_causal), repeats=3": "is_causal=one.is_causal)[:3], repeats=2",
    'if "dtype" not in one.options]': "if one.name in needed]",
    "swaps = {n: standard(": """needed = ("blockwise", "stratified, 128")
needed = (*needed, "local window, 32", "local window, 256")
swaps = {n: standard(""",
}
MOVED_KEYS = {OF_ATTENTION["real"]["text"]: 0.1}
SWAPS = {
    "01_rastrigin": (QIA, RANDOM_POINTS, BRIEF_FIRST, FIRST, {}),
    "02_resnet_annealing": (GENERATOR, RANDOM_CODES, {}, SECOND, MOVED),
    "03_qimad": (FULL, RANDOM_SWARM, BRIEF_THIRD, THIRD, MOVED_SWARMS),
    "04_entanglement": (FULL, RANDOM_STATES, {}, FOURTH, MOVED_STATES),
    "05_qed_nas": (FULL, RANDOM_PICKS, BRIEF_FIFTH, FIFTH, MOVED_PICKS),
    "06_quantum_attention": (FULL, RANDOM_KEYS, BRIEF_SIXTH, SIXTH, MOVED_KEYS),
}


def of_claims(record, part):
    return {claim["text"]: claim[part] for claim in record["claims"]}


def replace(notebook, old, new):
    (cell,) = (cell for cell in notebook.cells if old in cell.source)
    cell.source = cell.source.replace(old, new)


@pytest.mark.parametrize("name", SWAPS)
def test_random_search_in_place_of_a_method_changes_verdicts(
    name, tmp_path, quick_reports
):
    """`moved`: by how much, at least and with its sign, measured values must change."""
    honest, swap, brief, changed, moved = SWAPS[name]
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    for old, new in {**brief, honest: swap}.items():
        replace(notebook, old, new)
    path = tmp_path / f"{name}.ipynb"
    nbformat.write(notebook, path)
    swapped = run_notebook(path, resolve_parameters(path), tmp_path / name, 600)
    published = json.loads((quick_reports / f"{name}.json").read_text(encoding="utf-8"))
    before, after = (of_claims(one, "verdict") for one in (published, swapped))
    assert {text for text in before if before[text] != after[text]} >= changed
    before, after = (of_claims(one, "measured") for one in (published, swapped))
    for text, least in moved.items():
        assert (after[text] - before[text]) / least > 1
