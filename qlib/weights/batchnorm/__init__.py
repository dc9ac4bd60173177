"""Scales and shifts of the last BatchNorm as a discretised group of weights."""

from qlib.weights.batchnorm.gradient import (
    gradient_descent,
    loss_and_gradient,
    straight_through,
)
from qlib.weights.batchnorm.group import BatchNormGroup
from qlib.weights.batchnorm.levels import BatchNormCodes, nearest, uniform_levels
from qlib.weights.batchnorm.search import anneal, coordinate_descent

__all__ = [
    "BatchNormCodes",
    "BatchNormGroup",
    "anneal",
    "coordinate_descent",
    "gradient_descent",
    "loss_and_gradient",
    "nearest",
    "straight_through",
    "uniform_levels",
]
