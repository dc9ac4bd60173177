"""Annealing on continuous landscapes: the landscapes, the methods, the measures."""
