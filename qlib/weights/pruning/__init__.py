"""Pruning of features and channels: as a QUBO, its baselines, and the refit after."""

from qlib.weights.pruning.greedy import (
    backward_elimination,
    forward_selection,
    greedy_swap,
    swap_descent,
)
from qlib.weights.pruning.moments import InputMoments, feature_moments
from qlib.weights.pruning.qubo import (
    fisher_qubo,
    head_gate_gradients,
    moments_qubo,
    reconstruction_qubo,
)
from qlib.weights.pruning.refit import (
    Refit,
    least_squares_refit,
    output_error,
    output_power,
    prune_weights,
    softmax_refit,
)
from qlib.weights.pruning.select import (
    Selection,
    anneal,
    enumerate_masks,
    largest,
    random_mask,
    removal_costs,
    selection,
    weight_norms,
)
from qlib.weights.pruning.stage import (
    flatten_kernel,
    patch_moments,
    stage_gate_gradients,
    stage_qubo,
    unflatten_kernel,
)
from qlib.weights.pruning.surgeon import refitted_elimination

__all__ = [
    "InputMoments",
    "Refit",
    "Selection",
    "anneal",
    "backward_elimination",
    "enumerate_masks",
    "feature_moments",
    "fisher_qubo",
    "flatten_kernel",
    "forward_selection",
    "greedy_swap",
    "head_gate_gradients",
    "largest",
    "least_squares_refit",
    "moments_qubo",
    "output_error",
    "output_power",
    "patch_moments",
    "prune_weights",
    "random_mask",
    "reconstruction_qubo",
    "refitted_elimination",
    "removal_costs",
    "selection",
    "softmax_refit",
    "stage_gate_gradients",
    "stage_qubo",
    "swap_descent",
    "unflatten_kernel",
    "weight_norms",
]
