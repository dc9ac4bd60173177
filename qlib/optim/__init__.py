"""Optimisers of PyTorch that keep a swarm of weight copies."""
