"""What the attentions of a model do, and what a backend changes in them.

`capture` records calls, `maps` gives their q, k, v and weights, `entropy`, `spectra`
and `specialisation` measure weights, `propagation` and `gradients` compare a backend
with the exact attention inside a model.
"""
