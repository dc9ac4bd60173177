"""Discretised weights of a network: annealing them against training by gradients."""
