"""Exact attention on the blocks of keys that matter, pooled keys for the rest."""

BACKENDS = ()
