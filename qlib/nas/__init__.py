"""Entanglement-driven architecture search for neural quantum states."""
