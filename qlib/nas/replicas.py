"""Many wave functions of one architecture, evaluated and trained in one sweep."""

import copy
import inspect
from collections.abc import Mapping

import torch
from torch.func import functional_call, stack_module_state, vmap

from qlib.nas.blocks.block import Block
from qlib.nas.spins import all_configurations


class Replicas:
    """R blocks of one architecture with weights of their own, stacked.

    Parameters
    ----------
    build : callable
        build(generator=...) -> `Block`: one architecture, whatever the generator.
    generators : list of R torch.Generator
        Source of the weights of each replica.

    Attributes
    ----------
    weights : dict of str to tensor
        Each parameter of the block, stacked, (R, ...).

    Notes
    -----
    `torch.func.vmap` over the stacked weights: a block's Python runs once for all
    replicas, so that small blocks cost what their arithmetic costs. Buffers are those
    of the first replica. Cost: R forward passes a configuration, and their memory.
    """

    def __init__(self, build, generators):
        generators = list(generators)
        if not generators:
            raise ValueError("generators: got none; allowed: one for each replica")
        check_constructor("build", build)
        blocks = [build(generator=generator) for generator in generators]
        self.template = blocks[0]
        check_block("build", self.template)
        self.weights, _ = stack_module_state(blocks)
        if not self.weights:
            raise ValueError("build: got a block without weights; allowed: some")

    @classmethod
    def of(cls, template, weights):
        """Replicas of a block as it stands, with stacked weights that exist already."""
        replicas = cls.__new__(cls)
        replicas.template = template
        replicas.weights = dict(weights)
        return replicas

    def __len__(self):
        return next(iter(self.weights.values())).shape[0]

    @property
    def num_sites(self):
        """N."""
        return self.template.num_sites

    def parameters(self):
        """The stacked tensors, leaves that an optimiser takes."""
        return list(self.weights.values())

    @property
    def rates(self):
        """Each weight's share of the learning rate: the `rate` of its block."""
        blocks = [
            (prefix, module)
            for prefix, module in self.template.named_modules()
            if isinstance(module, Block)
        ]
        return {
            name: block.rate
            for prefix, block in blocks
            for name, _ in block.named_parameters(prefix)
        }

    def log_psi(self, spins):
        """log psi of each replica, not normalised.

        Parameters
        ----------
        spins : (configs, N) or (R, configs, N) float64 tensor of ±1
            The same configurations for all replicas, or each its own.

        Returns
        -------
        (R, configs) complex128 tensor
        """
        own = 0 if spins.ndim == 3 else None
        if own == 0 and len(spins) != len(self):
            got = f"{len(spins)} sets of configurations"
            raise ValueError(f"spins: got {got}; allowed: one or {len(self)}")

        def one(weights, spins):
            return functional_call(self.template, weights, (spins,))

        return vmap(one, in_dims=(0, own))(self.weights, spins)

    def vectors(self):
        """The normalised state vectors, (R, 2^N) complex128, for at most 20 sites."""
        with torch.no_grad():
            device = self.parameters()[0].device
            log_psi = self.log_psi(all_configurations(self.num_sites, device=device))
            psi = torch.exp(log_psi - log_psi.real.amax(-1, keepdim=True))
            return psi / torch.linalg.vector_norm(psi, dim=-1, keepdim=True)

    def to(self, device):
        """Move weights and buffers; returns itself."""
        self.template = self.template.to(device)
        self.weights = {
            name: stacked.detach().to(device).requires_grad_()
            for name, stacked in self.weights.items()
        }
        return self

    def block(self, index):
        """Replica `index` as a `Block` that stands by itself."""
        block = copy.deepcopy(self.template)
        own = {name: stacked[index] for name, stacked in self.weights.items()}
        block.load_state_dict(own, strict=False)
        return block

    def state_dict(self):
        """The weights, for `torch.save` and `torch.load(weights_only=True)`."""
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    def load_state_dict(self, state):
        """Take weights that `state_dict` gave; the number of replicas is theirs."""
        shapes, own = (
            {name: list(d[name].shape[1:]) for name in sorted(d)}
            for d in (state, self.weights)
        )
        if shapes != own:
            raise ValueError(f"state: got {shapes}; allowed: {own}")
        self.weights = {
            name: state[name].detach().clone().requires_grad_() for name in self.weights
        }


def checked_blocks(blocks, num_sites):
    """`blocks` as a dict, refused by name where one cannot be built for the sites."""
    if not isinstance(blocks, Mapping) or not blocks:
        raise ValueError(f"blocks: got {blocks!r}; allowed: a dict of constructors")
    for name, build in blocks.items():
        if not (isinstance(name, str) and callable(build)):
            got = f"{name!r}: {build!r}"
            raise ValueError(f"blocks: got {got}; allowed: name to constructor")
        check_constructor("blocks", build, f"{name!r}: ")
        block = build(generator=torch.Generator().manual_seed(0))
        check_block("blocks", block, f"{name!r}: ")
        if not any(True for _ in block.parameters()):
            got = f"{name!r}: {type(block).__name__}"
            raise ValueError(f"blocks: got {got}; allowed: a Block that can be trained")
        sites = block.num_sites
        if sites != num_sites:
            allowed = f"{num_sites} sites, as the target"
            raise ValueError(f"blocks: got {name} of {sites} sites; allowed: {allowed}")
    return dict(blocks)


def check_constructor(argument, build, key=""):
    """Refuse by name what cannot be called as build(generator=...)."""
    allowed = "a constructor(generator=...) of a Block"
    if isinstance(build, torch.nn.Module) or not callable(build):
        got = f"{key}one {type(build).__name__}, not its constructor"
        raise ValueError(f"{argument}: got {got}; allowed: {allowed}")
    try:
        inspect.signature(build).bind(generator=None)
    except (TypeError, ValueError) as error:
        got = f"{key}{getattr(build, '__name__', build)!s}, {error}"
        raise ValueError(f"{argument}: got {got}; allowed: {allowed}") from None


@torch.no_grad()
def check_block(argument, block, key=""):
    """Refuse by name what is no `Block` with a number psi at two configurations."""
    kind = f"{key}{type(block).__name__}"
    if not isinstance(block, Block):
        allowed = "a Block that can be trained"
        raise ValueError(f"{argument}: got {kind}; allowed: {allowed}")
    spins = torch.ones(2, block.num_sites, dtype=torch.float64, device=block.device)
    spins[1, ::2] = -1
    log_psi = torch.as_tensor(block(spins))
    shape, dtype = tuple(log_psi.shape), log_psi.dtype
    if shape != (2,) or dtype != torch.complex128:
        got = f"{kind} with log psi of shape {shape}, {dtype} at spins (2, N)"
        allowed = f"(2,), {torch.complex128}"
        raise ValueError(f"{argument}: got {got}; allowed: {allowed}")
    if torch.isnan(log_psi.real).any():
        got = f"{kind} with log psi nan before any training"
        allowed = "numbers, or -inf for psi = 0"
        raise ValueError(f"{argument}: got {got}; allowed: {allowed}")
