"""Architectures for neural quantum states, from a target's entanglement or by search.

The problem: `targets`, states to hold; `tasks`, what is minimised, a full sum, an
energy, or samples of a long chain. The blocks: `blocks`, networks that give log psi,
and `candidates` of equal size. What entanglement says: `screen`, a rigorous bound;
`rules`, from features to a block. Methods: `training` of one architecture, `supernet`,
`search` over architectures by any scheme, `vmc` for ground states. Modules are loaded
when they are imported; torch with the first of them.

Spins are ±1 in float64, site 0 leftmost; log psi is complex128 and −inf where psi = 0;
entropies are in nats.
"""
