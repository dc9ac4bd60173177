"""Singular values of attention matrices and how many of them count."""

import torch
from torch.special import entr


def singular_values(matrices):
    """Singular values, descending.

    Parameters
    ----------
    matrices : (..., query, key) tensor
        Half precisions are widened to float32.

    Returns
    -------
    (..., min(query, key)) tensor
        O(query key min(query, key)) each.
    """
    half = matrices.dtype in (torch.float16, torch.bfloat16)
    return torch.linalg.svdvals(matrices.float() if half else matrices)


def effective_rank(matrices):
    """exp of the entropy of singular values divided by their sum.

    Roy and Vetterli, "The effective rank", EUSIPCO 2007.

    Parameters
    ----------
    matrices : (..., query, key) tensor

    Returns
    -------
    (...) tensor
        From 1 to the rank; 0 for a matrix of zeros.
    """
    values = singular_values(matrices)
    total = values.sum(-1, keepdim=True)
    shares = values / total.masked_fill(total == 0, 1)
    rank = entr(shares).sum(-1).exp()
    return torch.where(total[..., 0] == 0, 0, rank)


def stable_rank(matrices):
    """Sum of the squared singular values over the largest of the squares.

    Parameters
    ----------
    matrices : (..., query, key) tensor

    Returns
    -------
    (...) tensor
        From 1 to the rank; 0 for a matrix of zeros.
    """
    squares = singular_values(matrices).square()
    largest = squares[..., 0]
    return squares.sum(-1) / largest.masked_fill(largest == 0, 1)
