"""Discretised weights of a network: annealing them against training by gradients.

The network: `resnet`, `pretraining`, `features` (cached), `training` (SGD, the last
layer or all), `probes` (what its last stage computes), `inject` (codes, masks and
BatchNorm values put back). The last layer: `head` (its exact loss, a weight at a time),
`convex` (its optimum), `surrogate` (its quadratic model). What is searched over:
`quantize` (codes of few bits), `pruning` (which channels stay, as a QUBO), `batchnorm`
(scales and shifts on a grid). Modules are imported by name; this one loads none.
"""
