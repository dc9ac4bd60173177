"""Local energies of Pauli sums, whose mean over |psi|² is the energy."""

from collections import defaultdict

import torch

from qlib.entanglement.pauli import PauliSum
from qlib.nas.spins import checked_spins
from qlib.nas.vmc.ratios import ratios


class LocalEnergy:
    """E_loc(s) = Σ_s' <s|H|s'> psi(s') / psi(s), for batches of configurations.

    Strings that flip the same sites are taken together, so that every configuration
    that H connects to s is evaluated once, and only where <s|H|s'> is not zero.

    Parameters
    ----------
    hamiltonian : PauliSum
        Of any number of sites: sites are listed, not held in bit masks.

    Attributes
    ----------
    flips : (flips, N) float64 tensor
        The sets of flipped sites that are not empty: −1 on them, 1 elsewhere.

    Raises
    ------
    ValueError
        If the Hamiltonian is no PauliSum.

    Notes
    -----
    Z on site i gives s_i, Y gives −i s_i and flips: <s|P|s'> of a string P with n
    letters Y is (−i)^n times the product of s_i over the sites of Y and Z. Cost
    O(flips) evaluations of psi a configuration.
    """

    def __init__(self, hamiltonian):
        if not isinstance(hamiltonian, PauliSum):
            raise ValueError(f"hamiltonian: got {hamiltonian!r}; allowed: a PauliSum")
        self.hamiltonian = hamiltonian
        self.num_sites = hamiltonian.num_sites
        self._dtype = torch.float64 if hamiltonian.is_real else torch.complex128
        strings = defaultdict(list)  # by flipped sites: (sites of a sign, amplitude)
        for letters, sites, coefficient in hamiltonian.terms:
            pairs = list(zip(letters, sites, strict=True))
            flipped = tuple(site for letter, site in pairs if letter != "Z")
            signs = tuple(site for letter, site in pairs if letter != "X")
            phase = (1, -1j, -1, 1j)[letters.count("Y") % 4]
            strings[flipped].append((signs, coefficient * phase))
        self._diagonal = self._grouped([strings.pop((), [])])
        self._off_diagonal = self._grouped(list(strings.values()))
        self.flips = torch.ones(len(strings), self.num_sites, dtype=torch.float64)
        for flip, sites in zip(self.flips, strings, strict=True):
            flip[list(sites)] = -1

    def __call__(self, log_psi, spins):
        """Local energies of configurations.

        Parameters
        ----------
        log_psi : Block, or a function (configs, N) -> (configs)
            A block of real or complex weights; an RBM takes a path of its own.
        spins : (..., N) float64 tensor of ±1
            Where psi is not zero.

        Returns
        -------
        (...) float64 or complex128 tensor
            Real where H and psi are.
        """
        checked_spins("spins", spins)
        if spins.shape[-1] != self.num_sites:
            got = f"{spins.shape[-1]} sites"
            raise ValueError(f"spins: got {got}; allowed: {self.num_sites}")
        flat = spins.reshape(-1, self.num_sites)
        energy = self._elements(self._diagonal, flat)[:, 0]  # (configs)
        if len(self.flips):
            elements = self._elements(self._off_diagonal, flat)  # (configs, flips)
            found = ratios(log_psi, flat, self.flips.to(flat.device), elements != 0)
            energy = energy + (elements * found).sum(-1)
        return energy.reshape(spins.shape[:-1])

    def _grouped(self, columns):
        """Strings by their number of signs: (sites, columns, amplitudes) of each."""
        groups = defaultdict(list)
        for column, strings in enumerate(columns):
            for signs, amplitude in strings:
                groups[len(signs)].append((signs, column, amplitude))
        tensors = []
        for length, members in groups.items():
            signs, places, amplitudes = zip(*members, strict=True)
            sites = torch.tensor(signs, dtype=torch.long).reshape(len(signs), length)
            amplitudes = torch.tensor(amplitudes, dtype=torch.complex128)
            if not self._dtype.is_complex:
                amplitudes = amplitudes.real.clone()
            tensors.append((sites, torch.tensor(places), amplitudes))
        return len(columns), tensors

    def _elements(self, grouped, spins):
        """Σ of the strings' <s|P|s'> by column, (configs, columns)."""
        columns, groups = grouped
        found = spins.new_zeros(len(spins), columns, dtype=self._dtype)
        for sites, places, amplitudes in groups:
            values = amplitudes.to(spins.device).expand(len(spins), -1)
            for site in sites.T:
                values = values * spins[:, site]  # (configs, strings)
            found.index_add_(1, places.to(spins.device), values)
        return found
