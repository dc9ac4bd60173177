"""Simulated annealing of spins: single flips while the temperature falls."""

import numpy as np

from qlib.annealing.ising.sampler import IsingSampler
from qlib.annealing.ising.sweeps import metropolis_sweeps, start_replicas

BLOCK = 100  # sweeps between two calls of interrupt_function


class SimulatedAnnealingSampler(IsingSampler):
    """Simulated annealing: Metropolis sweeps in a fixed order while β rises.

    Every read is a walk of its own with its own random stream, from its initial state
    or a uniform random one; the reads move in lockstep
    (`qlib.annealing.ising.sweeps`). As with D-Wave's sampler a read is the last state
    of its walk, not the best one on the way: at constant β, ``beta_range=(b, b)``, the
    reads tend to the Boltzmann distribution.

    Notes
    -----
    O(num_sweeps · num_reads · (n + couplings)).

    References
    ----------
    S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, Science 220, 671 (1983).
    """

    def _run(self, model, settings):
        replicas = start_replicas(model, settings.start_states(), settings.rng)
        betas = settings.betas()[:, None]  # (sweeps, 1)
        for start in range(0, len(betas), BLOCK):
            if settings.interrupted():
                break
            block = betas[start : start + BLOCK]
            rows = np.broadcast_to(block, (len(block), settings.num_reads))
            metropolis_sweeps(replicas, rows)
        return replicas.spins, {}
