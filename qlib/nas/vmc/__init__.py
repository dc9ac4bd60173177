"""Variational Monte Carlo: sampling, local energies, optimisation, error bars."""
