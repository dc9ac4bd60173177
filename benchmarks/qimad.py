"""QIMAD's update against torch's optimisers, its whole step against plain passes.

Update: the closures hand out gradients that are ready, and the time spent inside them
is taken off, so what is left of a step is the optimiser's own: loading the agents into
the model, mixing, inner optimiser, bookkeeping. It is divided by the agents and
compared with one step of the torch optimiser of the same arithmetic on the same
gradients, at the fastest of its implementations (foreach, for-loop, default; AdamW's
fused one, whose rounding differs, is in the table and no peer). ResNet-18 for 10
classes, random weights, 11.2 million parameters.

The floor is the time to move the bytes that an agent's update cannot do without (read
weights, gradient and averages, write weights and averages) at the rate at which this
machine copies arrays as large as the swarm's weights.

Whole steps: one batch, cross-entropy, all agents evaluated, against N times a plain
pass (`zero_grad(set_to_none=True)`, forward, backward) of the same model: what the
gradients alone would cost. MLP 784-128-10 and a CNN of two convolutions on 28x28, both
of batch 64, through an ordinary closure and through `VectorizedClosure` in each mode;
ResNet-18 at 64x64, batch 16, through an ordinary closure.

Before the times are taken the answers are compared: one agent's weights equal torch's
optimiser bitwise after three steps, and every way of evaluating gives the loss of the
plain pass to 1e-4.

Times are CPU time of the one thread, the methods taking turns, `--repeats` times; the
least counts, for other work on the machine only adds.

    python benchmarks/qimad.py --summary benchmarks/qimad.md
"""

import argparse
import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before PyTorch starts threads

import torch
import torchvision
from torch import nn
from torch.nn.functional import cross_entropy

from qlib.optim import QIMAD, VectorizedClosure
from qlib.workbook.benchmark import markdown_table, publish
from qlib.workbook.provenance import provenance

RATE = 1e-7  # small: weights and losses stay as they are while the clock runs
UPDATE_AIM = 2.0  # torch steps an agent
MOVED = {"rmsprop": 5, "adamw": 7}  # weights, averages read and written, gradient read
PEERS = {
    "rmsprop": (torch.optim.RMSprop, {"default": None, "foreach": True, "loop": False}),
    "adamw": (torch.optim.AdamW, {"default": None, "foreach": True, "loop": False}),
}


# --- the update -----------------------------------------------------------------------


class ReadyGradients:
    """A closure that hands out gradients made before, and times itself."""

    def __init__(self, parameters, count):
        self.parameters = list(parameters)
        self.ready = [
            [1e-3 * torch.randn_like(p) for p in self.parameters] for _ in range(count)
        ]
        self.calls, self.spent = 0, 0.0

    def __call__(self):
        start = time.process_time()
        chosen = self.ready[self.calls % len(self.ready)]
        for parameter, gradient in zip(self.parameters, chosen, strict=True):
            parameter.grad = gradient
        self.calls += 1
        loss = torch.tensor(1.0 / self.calls)
        self.spent += time.process_time() - start
        return loss


def resnet():
    torch.manual_seed(0)
    return torchvision.models.resnet18(weights=None, num_classes=10)


def check_single_agent(inner):
    """Refuse to go on unless one agent is the torch optimiser, bit for bit."""
    ours, theirs = resnet(), resnet()
    closure = ReadyGradients(ours.parameters(), 1)
    swarm = QIMAD(ours.parameters(), RATE, num_agents=1, inner=inner, seed=0)
    peer = PEERS[inner][0](theirs.parameters(), RATE, foreach=False)
    for p, gradient in zip(theirs.parameters(), closure.ready[0], strict=True):
        p.grad = gradient.clone()
    for _ in range(3):
        swarm.step(closure)
        peer.step()
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    if not all(torch.equal(a, b) for a, b in pairs):
        raise ArithmeticError(f"one agent of {inner} differs from torch's optimiser")


def update_step(inner, num_agents):
    """A function that makes one step and returns its seconds outside the closure."""
    model = resnet()
    closure = ReadyGradients(model.parameters(), num_agents)
    swarm = QIMAD(model.parameters(), RATE, num_agents=num_agents, inner=inner, seed=0)

    def step():
        closure.spent = 0.0
        start = time.process_time()
        swarm.step(closure)
        return time.process_time() - start - closure.spent

    return step


def peer_step(inner, **options):
    """The same for the torch optimiser."""
    model = resnet()
    ReadyGradients(model.parameters(), 1)()
    step = PEERS[inner][0](model.parameters(), RATE, **options).step
    return lambda: seconds(step)


def copy_step(size):
    source, target = torch.randn(size), torch.empty(size)
    return lambda: seconds(lambda: target.copy_(source))


def seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def in_turns(functions, repeats):
    """Least of the seconds that each function returns, after one call unrecorded."""
    for function in functions.values():
        function()
    least = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats):
        for name, function in functions.items():
            least[name] = min(least[name], function())
    return least


@dataclass
class Update:
    """Seconds of a step of ours, of the peers, and of the floor."""

    inner: str
    num_agents: int
    ours: float
    peers: dict
    floor: float  # an agent's
    copied: float  # bytes a second

    @property
    def ratio(self):
        fastest = min(self.peers[name] for name in PEERS[self.inner][1])
        return self.ours / self.num_agents / fastest


def measure_update(inner, num_agents, repeats):
    size = sum(p.numel() for p in resnet().parameters())
    functions = {"ours": update_step(inner, num_agents)}
    for name, foreach in PEERS[inner][1].items():
        functions[name] = peer_step(inner, foreach=foreach)
    if inner == "adamw":
        functions["fused"] = peer_step(inner, fused=True)
    functions["copy"] = copy_step(num_agents * size)
    least = in_turns(functions, repeats)
    copied = 8 * num_agents * size / least.pop("copy")
    return Update(
        inner=inner,
        num_agents=num_agents,
        ours=least.pop("ours"),
        peers=least,
        floor=4 * MOVED[inner] * size / copied,
        copied=copied,
    )


# --- the whole step -------------------------------------------------------------------


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 7 * 7, 10)),
    )


@dataclass(frozen=True)
class Network:
    """A model, its batch, how its agents are evaluated, and the ratio aimed at."""

    model: callable
    inputs: tuple
    ways: tuple
    aim: tuple = None  # (way, ratio)


ORDINARY = "closure"
VECTORIZED = tuple(f"VectorizedClosure, {m}" for m in ("loop", "vectorized", "auto"))
NETWORKS = {
    "MLP 784-128-10, batch 64": Network(
        mlp, (64, 1, 28, 28), (ORDINARY, *VECTORIZED), (VECTORIZED[1], 1.0)
    ),
    "CNN of two convolutions, 28x28, batch 64": Network(
        cnn, (64, 1, 28, 28), (ORDINARY, *VECTORIZED)
    ),
    "ResNet-18, 64x64, batch 16": Network(
        resnet, (16, 3, 64, 64), (ORDINARY,), (ORDINARY, 1.2)
    ),
}


def batch_of(network):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(network.inputs, generator=generator)
    return inputs, torch.randint(10, (len(inputs),), generator=generator)


def plain_pass(network):
    model, (inputs, targets) = network.model(), batch_of(network)

    def closure():
        model.zero_grad(set_to_none=True)
        loss = cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    return model, closure


def whole_step(network, way, num_agents):
    """Optimiser and closure of one way of evaluating."""
    model, closure = plain_pass(network)
    if way != ORDINARY:
        mode = way.rpartition(" ")[2]
        closure = VectorizedClosure(model, cross_entropy, batch_of(network), mode=mode)
    return QIMAD(model.parameters(), RATE, num_agents=num_agents, seed=0), closure


def several(function, count):
    """A function that returns the mean seconds of `count` calls."""
    return lambda: seconds(lambda: [function() for _ in range(count)]) / count


def measure_steps(network, num_agents, repeats, least):
    """Seconds of N plain passes and of a step in each way; mode that auto chose."""
    plain = plain_pass(network)[1]
    expected, calls = float(plain().detach()), 1
    while calls * several(plain, calls)() < least / num_agents:
        calls *= 2
    functions = {"plain": several(plain, num_agents * calls)}
    chosen = None
    for way in network.ways:
        swarm, closure = whole_step(network, way, num_agents)
        first = swarm.step(closure).item()
        if not abs(first - expected) < 1e-4:
            raise ArithmeticError(f"{way}: a loss of {first}, not {expected}")
        functions[way] = several(lambda s=swarm, c=closure: s.step(c), calls)
        chosen = getattr(closure, "mode_used", None) or chosen
    times = in_turns(functions, repeats)
    times["plain"] *= num_agents
    return times, chosen


# --- the page -------------------------------------------------------------------------


def milliseconds(value):
    return f"{1e3 * value:.3g}" if value < 1 else f"{1e3 * value:.0f}"


def update_table(updates):
    header = ["inner", "N", "ms a step", "ms an agent", "fastest torch step, ms"]
    header += ["torch steps an agent", "floor, ms", "over the floor"]
    rows = [
        [
            u.inner,
            u.num_agents,
            milliseconds(u.ours),
            milliseconds(u.ours / u.num_agents),
            milliseconds(u.ours / u.num_agents / u.ratio),
            f"{u.ratio:.2f}",
            milliseconds(u.floor),
            f"{u.ours / u.num_agents / u.floor:.1f}",
        ]
        for u in updates
    ]
    return markdown_table(header, rows)


def peer_lines(updates):
    return "\n".join(
        f"- {u.inner}, N = {u.num_agents}: "
        + ", ".join(f"{name} {milliseconds(spent)}" for name, spent in u.peers.items())
        + f"; copies at {u.copied / 1e9:.1f} GB/s"
        for u in updates
    )


def step_table(measured):
    header = ["N", "way", "ms a step", "N plain passes, ms", "ratio", "aim"]
    rows = []
    for name, num_agents, times, chosen in measured:
        way, aim = NETWORKS[name].aim or (None, None)
        for method in NETWORKS[name].ways:
            picked = f" (it took {chosen})" if method.endswith("auto") else ""
            rows.append(
                [
                    num_agents,
                    method + picked,
                    milliseconds(times[method]),
                    milliseconds(times["plain"]),
                    f"{times[method] / times['plain']:.2f}",
                    aim if method == way else "",
                ]
            )
    return markdown_table(header, rows)


def page(updates, steps, arguments, load):
    made = provenance()
    packages = ", ".join(f"{n} {made['packages'][n]}" for n in ("numpy", "torch"))
    parts = [
        "# QIMAD: what a step costs",
        f"Written by `benchmarks/qimad.py`, whose head says what is measured. Least of "
        f"{arguments.repeats} CPU times. {made['processor']}, one thread, "
        f"Python {made['python']}, {packages}. Load average of the {os.cpu_count()} "
        f"cores {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end, this run "
        f"being 1 of it. {arguments.note}".rstrip(),
        "## The update of ResNet-18",
        f"Aimed at: at most {UPDATE_AIM:.0f} RMSprop steps an agent.",
        update_table(updates),
        "Torch's implementations, ms a step:",
        peer_lines(updates),
    ]
    for name in NETWORKS:
        of_it = [line for line in steps if line[0] == name]
        if of_it:
            parts += [f"## {name}: whole steps", step_table(of_it)]
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--least", type=float, default=0.1, help="seconds a time")
    parser.add_argument("--full", action="store_true", help="ResNet-18 also at N = 16")
    parser.add_argument("--summary", type=Path, help="also write the page here (.md)")
    parser.add_argument("--note", default="", help="a sentence for the page's head")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load, updates, steps = os.getloadavg()[0], [], []
    for inner in PEERS:
        check_single_agent(inner)
        for num_agents in (4, 8):
            updates.append(measure_update(inner, num_agents, arguments.repeats))
            gc.collect()
    for name, network in NETWORKS.items():
        large = network.model is resnet
        repeats = min(arguments.repeats, 5) if large else arguments.repeats
        for num_agents in (4, 8) if large and not arguments.full else (4, 8, 16):
            found = measure_steps(network, num_agents, repeats, arguments.least)
            steps.append((name, num_agents, *found))
            gc.collect()
    text = page(updates, steps, arguments, load)
    publish(text, arguments.summary)


if __name__ == "__main__":
    main()
