"""From architecture parameters to gates and to a loss: four relaxations of a choice."""

import torch

from qlib.nas.supernet.mixture import combinations, products


def probabilities(logits, allowed):
    """Softmax of (R, S, K) parameters over the candidates that are allowed."""
    return torch.softmax(torch.where(allowed, logits, -torch.inf), -1)


def gumbel(shape, generators):
    """Standard Gumbel noise, one generator to every index of the first axis."""
    rows = [
        torch.rand(shape[1:], dtype=torch.float64, generator=one) for one in generators
    ]
    uniform = torch.stack(rows).clamp(1e-12, 1 - 1e-12)
    return -torch.log(-torch.log(uniform))


def straight_through(logits, allowed, noise, temperature):
    """One-hot samples of the softmax whose gradient is that of the relaxed sample.

    Jang, Gu and Poole (2017); Maddison, Mnih and Teh (2017).
    """
    soft = probabilities((logits + noise) / temperature, allowed)
    hard = torch.zeros_like(soft).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
    return hard + (soft - soft.detach())


def expected_loss(outputs, shares, loss):
    """Σ over all K^S architectures of their probability times their loss, (R,).

    Parameters
    ----------
    outputs : (S, K, R, C) complex tensor
        Of the candidates: K S evaluations serve K^S architectures.
    shares : (R, S, K) tensor
        Probability of each candidate in each slot; slots are independent.
    loss : callable
        (..., R, C) -> (..., R).
    """
    slots, candidates = outputs.shape[:2]
    chosen = combinations(slots, candidates)  # (K^S, S)
    joint = shares[:, torch.arange(slots), chosen].prod(-1)  # (R, K^S)
    return (joint.T * loss(products(outputs))).sum(0)
