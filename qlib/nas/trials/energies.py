"""Energy does not certify entanglement: states of nearly the least energy, and theirs.

What energy does certify: a state E − E0 above the ground state has an infidelity of at
most (E − E0)/gap, and that bounds the difference of entropies. Where the gap closes
with the size, the bound says nothing at any relative error of practice.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from qlib.arguments import number_between, positive_integer
from qlib.entanglement import freefermions, hamiltonians, spectrum
from qlib.entanglement.dmrg import dmrg
from qlib.entanglement.exact import Sector, ground_state
from qlib.nas.targets import Target
from qlib.nas.tasks import Energy
from qlib.nas.training import LEARNING_RATE, train

SMALL = 1e-3  # relative errors of the energy below which it is called right
TOLD = 0.1  # nats within which an entropy is called known
ENERGY_TOL = 1e-7  # of DMRG, in units of J


@dataclass(frozen=True, eq=False)
class Pairs:
    """States of one kind beside the ground states that they come near in energy.

    Attributes
    ----------
    name : str
    labels : (n,) tuple of str
        What makes a state.
    energy_error : (n,) array
        (E − E0) / |E0|.
    entropy, exact : (n,) arrays
        Of the half chain, nats: of the state, and of the ground state.
    """

    name: str
    labels: tuple
    energy_error: np.ndarray
    entropy: np.ndarray
    exact: np.ndarray

    def worst(self, energy_error=SMALL):
        """Place of the largest error of entropy among those of at most this energy's.

        Returns
        -------
        int or None
            None where no state is that near.
        """
        near = self.energy_error <= energy_error
        if not near.any():
            return None
        return int(np.argmax(np.where(near, abs(self.entropy - self.exact), -1.0)))


def broken_order(fields, *, num_sites=12):
    """The ordered Ising chain: the even superposition, and one of broken symmetry.

    The ground state is even under the flip of all spins; the sum of the lowest even
    and odd states, magnetised, is half the tunnel splitting above it.

    Parameters
    ----------
    fields : sequence of float
        h in (0, 1), of J = 1.
    num_sites : int, optional
        Even; 12 unless given.

    Returns
    -------
    Pairs
    """
    _some("fields", fields)
    _even(num_sites, 2)
    rows = []
    for field in fields:
        number_between("fields", field, 0, 1, open_low=True)
        H = hamiltonians.tfim(num_sites, field=field)
        even, odd = (ground_state(H, sector=Sector(x_parity=p)) for p in (1, -1))
        energies = even.energies[0], odd.energies[0]
        broken = (even.vector + odd.vector) / np.sqrt(2)
        error = (np.mean(energies) - energies[0]) / abs(energies[0])
        rows.append((error, _entropy(broken), even.features(num_sites // 2).entropy))
    labels = tuple(f"h = {field:g}" for field in fields)
    return Pairs("broken order, Ising", labels, *np.array(rows).T)


def cut_rainbow(num_sites=16, *, alpha=0.3):
    """The rainbow chain without its outer sites, which are left in a product state.

    Bonds decay from the middle outward, the energy with them; every pair of sites
    around the middle has its share of the entropy.

    Parameters
    ----------
    num_sites : int, optional
        Even, at least 4; 16 unless given.
    alpha : float, optional
        Of `hamiltonians.rainbow_xx`, in (0, 1]; 0.3 unless given.

    Returns
    -------
    Pairs
        Of 2, 4, …, N − 2 sites kept.
    """
    kept = range(2, _even(num_sites, 4) + 1, 2)
    states = [
        freefermions.ground_state(hamiltonians.rainbow_xx(n, alpha)) for n in kept
    ]
    energies = np.array([state.energy for state in states])
    entropy = np.array([s.features(s.num_sites // 2).entropy for s in states])
    return Pairs(
        "rainbow without its outer pairs",
        tuple(f"{n} sites kept" for n in kept[:-1]),
        ((energies - energies[-1]) / abs(energies[-1]))[:-1],
        entropy[:-1],
        np.full(len(kept) - 1, entropy[-1]),
    )


def small_bond_dims(name, hamiltonian, bond_dims):
    """DMRG of ever larger bond dimension for a chain of free fermions.

    Parameters
    ----------
    name : str
    hamiltonian : PauliSum
        As `freefermions.ground_state` takes, its ground state alone.
    bond_dims : sequence of int

    Returns
    -------
    Pairs
    """
    _some("bond_dims", bond_dims)
    half = hamiltonian.num_sites // 2
    exact = freefermions.ground_state(hamiltonian)
    found = [
        dmrg(hamiltonian, max_bond_dim=chi, energy_tol=ENERGY_TOL) for chi in bond_dims
    ]
    energy = np.array([one.energy for one in found])
    return Pairs(
        name,
        tuple(f"χ = {chi}" for chi in bond_dims),
        (energy - exact.energy) / abs(exact.energy),
        np.array([one.features(half).entropy for one in found]),
        np.full(len(found), exact.features(half).entropy),
    )


def chains(num_sites):
    """Four chains whose ground states have positive amplitudes.

    So that energies tell of entanglement and gaps, not of signs: exchange along x and y
    is ferromagnetic, which a rotation of every other spin about z makes of any.

    Parameters
    ----------
    num_sites : int
        Even, at most 14.

    Returns
    -------
    list of Target
        Ising's at h = J = 1 and, ordered, at h = 0.5; Heisenberg's; the rainbow chain
        of XX bonds at α = 0.5.
    """
    even, singlet = Sector(x_parity=1), Sector(sz=0)
    rainbow = hamiltonians.rainbow_xx(num_sites, 0.5, coupling=-1.0)
    models = {
        "critical Ising": (hamiltonians.tfim(num_sites), even),
        "ordered Ising": (hamiltonians.tfim(num_sites, field=0.5), even),
        "Heisenberg": (hamiltonians.xxz(num_sites, -1.0, coupling=-1.0), singlet),
        "rainbow, XX": (rainbow, singlet),
    }
    found = {name: ground_state(H, sector=where) for name, (H, where) in models.items()}
    return [
        Target(name, one.vector, models[name][0], float(one.energies[0]))
        for name, one in found.items()
    ]


@dataclass(frozen=True, eq=False)
class Trained:
    """Blocks trained on the energy of small chains. All arrays: (target, block, seed).

    Attributes
    ----------
    targets, blocks : list of str
    energy_error : array
        (E − E0) / |E0|, of the checkpoint of least energy.
    entropy_error : array
        S − S_exact of the half chain, nats.
    gaps : (targets,) array
        From the ground state to the next level, over |E0|.
    num_sites : int
    """

    targets: list
    blocks: list
    energy_error: np.ndarray
    entropy_error: np.ndarray
    gaps: np.ndarray
    num_sites: int

    @property
    def certified(self):
        """The most that |entropy_error| can be by energy and gap; `certificate`."""
        infidelity = self.energy_error / self.gaps[:, None, None]
        return certificate(infidelity, self.num_sites // 2)

    @property
    def told(self):
        """Share of states of which energy and gap tell the entropy to 0.1 nats."""
        return float((self.certified < TOLD).mean())


def trained(targets, blocks, *, seeds, steps, learning_rate=LEARNING_RATE):
    """Train every block on the energy of every target.

    Parameters
    ----------
    targets : sequence of Target
        Of one number of sites, at most 14, with Hamiltonians.
    blocks : dict
        As by `candidates`.
    seeds : sequence of int
    steps : int
    learning_rate : float, optional
        See `train`.

    Returns
    -------
    Trained
    """
    _some("targets", targets)
    _some("blocks", blocks)
    settings = {"seeds": seeds, "steps": steps, "learning_rate": learning_rate}
    shape = len(targets), len(blocks), len(seeds)
    errors, entropies, gaps = np.empty(shape), np.empty(shape), []
    for row, target in enumerate(targets):
        gaps.append(ground_state(target.hamiltonian, k=2).gap / abs(target.energy))
        task = Energy(target.hamiltonian, energy=target.energy)
        exact = target.features().entropy
        for column, build in enumerate(blocks.values()):
            found = train(build, task, **settings)
            entropy = [_entropy(state) for state in found.vectors()[:, 0]]
            errors[row, column] = np.maximum(found.score[:, 0], 0.0)
            entropies[row, column] = np.array(entropy) - exact
    names, sites = [target.name for target in targets], targets[0].num_sites
    return Trained(names, list(blocks), errors, entropies, np.array(gaps), sites)


def certificate(infidelity, sites):
    """Largest difference of entropies of two pure states of a given infidelity, nats.

    Parameters
    ----------
    infidelity : array
        1 − F, or a bound on it such as (E − E0) / gap.
    sites : int
        On the smaller side of the cut, of dimension d = 2^sites.

    Returns
    -------
    array
        T ln(d − 1) + h(T), T = √(1 − F) being at least the trace distance of the
        halves, h the binary entropy (Fannes' inequality as sharpened by Audenaert, J.
        Phys. A 40, 8127, 2007); ln d where that says no more.
    """
    dim = 2 ** positive_integer("sites", sites)
    if not np.all(np.asarray(infidelity) >= 0):
        raise ValueError(f"infidelity: got {infidelity}; allowed: 0 or more")
    distance = np.sqrt(np.minimum(infidelity, 1.0))
    bound = distance * np.log(max(dim - 1, 1)) + entr(distance) + entr(1 - distance)
    return np.where(distance < 1 - 1 / dim, bound, np.log(dim))


def _some(name, values):
    """Refuse an empty sequence by its name."""
    if not len(values):
        raise ValueError(f"{name}: got {values!r}; allowed: one or more")


def _even(num_sites, least):
    """`num_sites`, refused unless even and not less."""
    if positive_integer("num_sites", num_sites) % 2 or num_sites < least:
        raise ValueError(f"num_sites: got {num_sites}; allowed: even, from {least} on")
    return num_sites


def _entropy(state):
    """Half-chain entropy of a state vector, nats."""
    half = (len(state).bit_length() - 1) // 2
    p = spectrum.schmidt_values(state, half) ** 2
    return spectrum.renyi(p / p.sum(), 1)


def largest_error(pairs, found):
    """Largest error of entropy among all states whose energy is right to 1e-3.

    Parameters
    ----------
    pairs : sequence of Pairs
    found : Trained

    Returns
    -------
    error : float
        Nats; 0 where no energy is right.
    count : int
        States of such energies.
    """
    near = [abs(one.entropy - one.exact)[one.energy_error <= SMALL] for one in pairs]
    near.append(abs(found.entropy_error)[found.energy_error <= SMALL])
    errors = np.concatenate(near)
    return float(errors.max(initial=0.0)), len(errors)


def rows(pairs, found):
    """Rows (metric, value, labels) of what is shown.

    Parameters
    ----------
    pairs : sequence of Pairs
    found : Trained
    """
    for one in pairs:
        place = one.worst()
        if place is not None:
            labels = {"states": one.name, "of them": one.labels[place]}
            off = abs(one.entropy[place] - one.exact[place])
            yield "relative error of the energy", one.energy_error[place], labels
            yield "error of the entropy, nats", off, labels
            yield "error of the entropy, share", off / one.exact[place], labels
    near = found.energy_error <= SMALL
    yield "trained states of energies right to 0.001", int(near.sum()), {}
    for row, target in enumerate(found.targets):
        if near[row].any():
            worst = abs(found.entropy_error[row][near[row]]).max()
            yield "largest error of their entropy, nats", worst, {"target": target}
    yield "share of states whose entropy is certified to 0.1 nats", found.told, {}
