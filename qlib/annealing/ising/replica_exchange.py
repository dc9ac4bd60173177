"""Replica exchange (parallel tempering) of spins, with cluster moves in the plane."""

from math import ceil, sqrt
from typing import ClassVar

import numpy as np
from numba import njit

from qlib.annealing.ising.houdayer import exchange_clusters, percolates
from qlib.annealing.ising.random_streams import next_packed_uniform
from qlib.annealing.ising.sampler import IsingSampler, default_beta_range
from qlib.annealing.ising.sweeps import (
    FAST,
    decay,
    lane_energies,
    metropolis_sweeps,
    start_replicas,
    sweep_lanes,
)
from qlib.arguments import positive_integer

MOST = 128  # rungs of a ladder; two copies of it fill the lanes of a block
BLOCK = 100  # sweeps between two looks at the interrupt function
PILOT = 64  # temperatures of the pilot run


class ReplicaExchangeSampler(IsingSampler):
    """Lowest states visited by replicas at fixed temperatures that exchange them.

    A read is a ladder of K inverse temperatures. Each of `num_sweeps` rounds sweeps
    every replica with `metropolis_sweeps`, moves clusters if there are two copies of
    the ladder, and proposes to swap neighbours on it, pairs (0, 1), (2, 3), … and
    (1, 2), (3, 4), … by turns, with probability min(1, exp((β − β′)(E − E′))). Each
    leaves the product of the Boltzmann distributions unchanged. A read returns the
    state of lowest energy that any of its replicas had after a round.

    Parameters of `sample`
    ----------------------
    num_replicas : int or None
        Temperatures K of a ladder, 1 … 128. None for √n rounded up to a multiple of 16
        (lanes come by 16, and energies fluctuate as √n, so that the spacing at a given
        swap rate is as 1/√n), at most 128.
    spacing : {"auto", "swaps", "schedule"}
        "schedule": β by `beta_schedule_type`. "swaps": equal swap rates along the
        ladder, by `equal_swaps`. "auto": "schedule" with cluster moves, else "swaps".
        Measured: on G1 at equal K and sweeps the share of reads that reach 11624 rises
        from 0 to 0.8 with "swaps", while with cluster moves on a 32 × 32 torus, where
        also the coldest replicas move on, it falls from 0.7 to 0.2.
    cluster_moves : {"auto", True, False}
        Whether to run two copies of the ladder and to exchange a cluster between the
        copies at every temperature each round (`exchange_clusters`), at twice the cost
        in sweeps. "auto": where the graph does not percolate (`percolates`), such
        as planar ones of degree 4.
    beta_range : (float, float) or None
        Ends of the ladder; None for `default_beta_range` with the hot end raised to
        1/(2σ), σ² the largest h_i² + Σ_j J_ij²: half the β of the mean-field glass
        transition, hot enough for fast relaxation. An SK model of 200 spins was solved
        in half to two thirds of the time so.

    `info` of the answer has the ladder, the swap rates of its neighbours and whether
    clusters moved.

    Notes
    -----
    O(num_reads · num_sweeps · K (n + couplings)), float32 fields. All reads move at
    once, 5 n bytes a replica. The interrupt function is polled every 100 rounds.

    References
    ----------
    R. H. Swendsen, J.-S. Wang, Phys. Rev. Lett. 57, 2607 (1986).
    K. Hukushima, K. Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996).
    S. Syed et al., J. R. Stat. Soc. B 84, 321 (2022), for pairs by turns.
    """

    options: ClassVar[dict] = {
        "num_replicas": None,
        "spacing": "auto",
        "cluster_moves": "auto",
    }

    def _run(self, model, settings):
        rungs, spacing, clusters = _checked(settings.options, model)
        rng = settings.rng
        if clusters == "auto":
            clusters = not percolates(model, rng)
        if spacing == "auto":
            spacing = "schedule" if clusters else "swaps"
        if spacing == "schedule":
            ladder = settings.betas(rungs)
        else:
            ladder = equal_swaps(model, *settings.beta_range, rungs, rng)
        group = (2 if clusters else 1) * rungs
        spins = rng.integers(
            0, 2, size=(settings.num_reads, group, model.num_spins), dtype=np.int8
        )
        spins = 2 * spins - 1
        spins[: len(settings.initial)] = settings.initial[:, None]
        spins = spins.reshape(-1, model.num_spins)
        replicas = start_replicas(model, spins, rng, group)
        rows = scaled_rows(model, replicas.unit) if clusters else None
        ladders = Ladders(replicas, ladder, settings.num_reads, rows)
        while ladders.rounds < settings.num_sweeps:
            ladders.run(min(BLOCK, settings.num_sweeps - ladders.rounds))
            if settings.interrupted():
                break
        info = {"ladder": ladder.tolist(), "swap_rates": ladders.swap_rates().tolist()}
        return ladders.best, info | {"cluster_moves": bool(clusters)}

    def _default_beta_range(self, model, options):
        hot, cold = default_beta_range(model)
        indptr, _, weights = model.neighbours()
        total = np.concatenate([[0.0], np.cumsum(weights**2)])
        variance = (model.h**2 + total[indptr[1:]] - total[indptr[:-1]]).max()
        fast = 0.5 / sqrt(variance) if variance > 0 else 0.0
        return min(max(hot, fast), cold), cold


class Ladders:
    """Replicas on ladders of temperatures, one ladder or two copies of it a read.

    Parameters
    ----------
    replicas : Replicas
        Reads × copies × K replicas in this order, those of a read in one block.
    ladder : (K,) array
        Inverse temperatures of the rungs.
    reads : int
    rows : tuple or None
        `scaled_rows` where there are two copies, which exchange clusters.

    Attributes
    ----------
    best : (reads, n) int8 array
        State of lowest energy after a round, of each read.
    rounds : int
        Rounds so far.
    """

    def __init__(self, replicas, ladder, reads, rows=None):
        self.replicas = replicas
        self.ladder = np.asarray(ladder)
        width = replicas.lanes.shape[2]
        copies = 1 if rows is None else 2
        self.rows = replicas.couplings[:4] if rows is None else rows
        place = replicas.place.reshape(reads, copies, -1)
        self.block = place[:, 0, 0] // width
        self.lane = place % width  # of the replica at (read, copy, rung)
        self.best = np.ones((reads, replicas.num_spins), dtype=np.int8)
        self.best_energies = np.full(reads, np.inf)
        self.swapped = np.zeros(max(1, self.ladder.size - 1), dtype=np.int64)
        self.rounds = 0

    def run(self, rounds):
        """Sweeps, cluster moves and swaps, `rounds` times, in place."""
        replicas = self.replicas
        ladder = (self.ladder * replicas.unit).astype(np.float32)
        for block in range(len(replicas.lanes)):
            reads = slice(*np.searchsorted(self.block, [block, block + 1]))
            _rounds(
                replicas.couplings,
                self.rows,
                replicas.lanes[block],
                replicas.streams[block],
                ladder,
                self.lane[reads],
                self.best[reads],
                self.best_energies[reads],
                self.swapped,
                self.rounds,
                rounds,
            )
        self.rounds += rounds

    def states(self):
        """The present states (reads, copies, K, n) int8, by rung."""
        width = self.replicas.lanes.shape[2]
        states = self.replicas.lanes.transpose(0, 2, 1).reshape(
            -1, self.replicas.lanes.shape[1]
        )
        lanes = self.block[:, None, None] * width + self.lane
        return states[lanes, : self.replicas.num_spins].astype(np.int8)

    def swap_rates(self):
        """Share of the proposed swaps that were made, (K − 1,)."""
        pairs = self.ladder.size - 1
        copies = self.lane.shape[0] * self.lane.shape[1]
        turns = (self.rounds + 1 - np.arange(pairs) % 2) // 2
        return self.swapped[:pairs] / np.maximum(1, turns * copies)


def equal_swaps(model, hot, cold, rungs, rng):
    """A ladder of inverse temperatures with equal swap rates between neighbours.

    A pair swaps with a probability that falls with Δβ ΔE, ΔE the difference of mean
    energies (Kofke 2002). A pilot run, 64 replicas cooled from hot to each point of a
    geometric grid in 100 sweeps, then 20 sweeps of averaging, gives E(β); the rungs
    share out Σ √(Δβ ΔE) equally.

    Parameters
    ----------
    model : IsingModel
    hot, cold : float
        First and last β, 0 < hot <= cold; an end of 0 is replaced by cold / 1000.
    rungs : int
        K >= 1; a single one is the cold end.
    rng : `numpy.random.Generator`

    Returns
    -------
    (K,) array
        Rising from hot to cold. O(7700 (n + couplings)).

    References
    ----------
    D. A. Kofke, J. Chem. Phys. 117, 6911 (2002).
    """
    if rungs == 1 or hot == cold:
        return np.full(rungs, float(cold))
    grid = np.geomspace(hot or cold / 1000, cold, PILOT)
    spins = rng.choice(np.array([-1, 1]), size=(PILOT, model.num_spins))
    replicas = start_replicas(model, spins, rng)
    cooling = np.geomspace(grid[0], cold, 100)[:, None]
    metropolis_sweeps(replicas, np.minimum(grid, cooling))
    energies = np.zeros(PILOT)
    for _ in range(10):
        metropolis_sweeps(replicas, np.tile(grid, (2, 1)))
        energies += model.energy(replicas.spins) / 10
    falls = -np.diff(np.minimum.accumulate(energies))
    steps = np.sqrt(falls * np.diff(grid))
    steps += 1e-3 * max(steps.sum(), 1e-300) / PILOT  # rising where E(β) is flat
    length = np.concatenate([[0.0], np.cumsum(steps)])
    ladder = np.interp(np.linspace(0.0, length[-1], rungs), length, grid)
    ladder[0], ladder[-1] = hot, cold
    return ladder


def scaled_rows(model, unit):
    """(indptr, indices, weights, h) of a model in units of `unit`, float32."""
    indptr, indices, weights = model.neighbours()
    return (
        indptr.astype(np.uint32),
        indices.astype(np.uint32),
        (weights / unit).astype(np.float32),
        (model.h / unit).astype(np.float32),
    )


def _checked(options, model):
    """Number of rungs, spacing and whether to move clusters."""
    rungs, spacing = options["num_replicas"], options["spacing"]
    clusters = options["cluster_moves"]
    if rungs is None:
        rungs = min(MOST, 16 * ceil(sqrt(model.num_spins) / 16))
    rungs = positive_integer("num_replicas", rungs)
    if rungs > MOST:
        raise ValueError(f"num_replicas: got {rungs}; allowed: 1 to {MOST}")
    if spacing not in ("auto", "swaps", "schedule"):
        raise ValueError(
            f"spacing: got {spacing!r}; allowed: 'auto', 'swaps' or 'schedule'"
        )
    if not isinstance(clusters, bool) and clusters != "auto":
        raise ValueError(
            f"cluster_moves: got {clusters!r}; allowed: 'auto', True or False"
        )
    return rungs, spacing, clusters


@njit(cache=True, nogil=True, fastmath=FAST)
def _rounds(
    couplings,
    rows,
    spins,
    streams,
    ladder,
    lane,
    best,
    best_energies,
    swapped,
    first,
    rounds,
):
    energies = lane_energies(couplings, spins)
    reads, copies, rungs = lane.shape
    beta = np.zeros(spins.shape[1], np.float32)
    for read in range(reads):
        for copy in range(copies):
            for k in range(rungs):
                beta[lane[read, copy, k]] = ladder[k]
    for turn in range(first, first + rounds):
        sweep_lanes(couplings, spins, streams, beta, energies)
        if copies == 2:
            exchange_clusters(rows, spins, streams, lane, energies)
        for read in range(reads):
            _keep_best(spins, energies, lane[read], best, best_energies, read)
            for copy in range(copies):
                _swap(
                    energies, beta, ladder, lane[read, copy], streams, swapped, turn % 2
                )


@njit(cache=True, nogil=True, fastmath=FAST)
def _swap(energies, beta, ladder, lane, streams, swapped, first):
    """Metropolis swaps of the rungs (first, first + 1) and every second pair."""
    for k in range(first, lane.size - 1, 2):
        a, b = lane[k], lane[k + 1]
        loss = (ladder[k + 1] - ladder[k]) * np.float32(energies[b] - energies[a])
        if next_packed_uniform(streams, a) < decay(-loss):
            lane[k], lane[k + 1] = b, a
            beta[a], beta[b] = ladder[k + 1], ladder[k]
            swapped[k] += 1


@njit(cache=True, nogil=True, fastmath=FAST)
def _keep_best(spins, energies, lanes, best, best_energies, read):
    """Copy the state of the lowest energy among lanes (copies, K) if it is a record."""
    lowest = lanes[0, 0]
    for a in lanes.flat:
        if energies[a] < energies[lowest]:
            lowest = a
    if energies[lowest] < best_energies[read]:
        best_energies[read] = energies[lowest]
        for i in range(best.shape[1]):
            best[read, i] = np.int8(spins[i, lowest])
