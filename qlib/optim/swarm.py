"""How agents weigh one another: Bloch states, fidelities, mixing and temperature."""

import math

import torch

from qlib.arguments import number_between, one_of

WEIGHTS = ("fidelity", "uniform", "none")
COOLINGS = ("cosine", "linear", "exponential", None)
TURN = 2 * math.pi


def temperature(cooling, progress, min_temp):
    """The temperature T of a run, falling from 1 to `min_temp`.

    Parameters
    ----------
    cooling : {"cosine", "linear", "exponential", None}
        None: 1 throughout.
    progress : float
        Steps done over steps planned, clipped to [0, 1].
    min_temp : float
        In [0, 1]; > 0 for "exponential", which is ``min_temp**progress``.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        By the argument's name; a progress of 0 serves as a check of the others.
    """
    one_of("cooling", cooling, COOLINGS)
    open_low = cooling == "exponential"
    min_temp = number_between("min_temp", min_temp, 0.0, 1.0, open_low=open_low)
    progress = min(max(progress, 0.0), 1.0)
    if cooling is None:
        return 1.0
    if cooling == "exponential":
        return min_temp**progress
    left = 1 - progress
    if cooling == "cosine":
        left = (1 + math.cos(math.pi * progress)) / 2
    return min_temp + (1 - min_temp) * left


def first_angles(num_agents, generator):
    """Random Bloch angles: alpha uniform in [0, π], beta uniform in [0, 2π).

    Returns
    -------
    alpha, beta : (N,) float64 tensors
        Radians. One agent has nobody to be compared with: zeros, nothing drawn.
    """
    if num_agents == 1:
        return torch.zeros(2, 1, dtype=torch.float64, device="cpu").unbind()
    draws = torch.rand(
        2, num_agents, generator=generator, dtype=torch.float64, device="cpu"
    )
    return math.pi * draws[0], TURN * draws[1]


def walk_angles(alpha, beta, *, widths, temperature, generator, rows):
    """One Gaussian step of the Bloch angles.

    alpha is reflected into [0, π], beta taken modulo 2π.

    Parameters
    ----------
    alpha, beta : (N,) float64 tensors
        Radians.
    widths : pair of float
        Standard deviations of a step in alpha and in beta, at temperature 1.
    temperature : float
        Multiplies both widths.
    generator : `torch.Generator`
        2N normals are drawn whatever `rows` says; nothing for one agent.
    rows : (N,) bool tensor
        The agents that walk.

    Returns
    -------
    alpha, beta : (N,) float64 tensors
        New ones.
    """
    if len(alpha) == 1:
        return alpha.clone(), beta.clone()
    noise = torch.randn(
        2, len(alpha), generator=generator, dtype=torch.float64, device="cpu"
    )
    polar = torch.remainder(alpha + widths[0] * temperature * noise[0], TURN)
    phase = torch.remainder(beta + widths[1] * temperature * noise[1], TURN)
    phase = torch.where(phase < TURN, phase, 0.0)  # just below 0 it rounds to 2π
    reflected = torch.minimum(polar, TURN - polar)
    return torch.where(rows, reflected, alpha), torch.where(rows, phase, beta)


def fidelity(alpha, beta):
    """|⟨ψᵢ|ψⱼ⟩|² of the states cos(α/2)|0⟩ + e^{iβ} sin(α/2)|1⟩.

    As the sum of two squares, cos²((αᵢ−αⱼ)/2) cos²((βᵢ−βⱼ)/2) +
    cos²((αᵢ+αⱼ)/2) sin²((βᵢ−βⱼ)/2), so that rounding makes nothing negative, the
    matrix is exactly symmetric and 1 on its diagonal.

    Parameters
    ----------
    alpha, beta : (N,) float64 tensors
        Radians.

    Returns
    -------
    (N, N) float64 tensor
    """
    phase = (beta[:, None] - beta) / 2
    minus = torch.cos((alpha[:, None] - alpha) / 2) * torch.cos(phase)
    plus = torch.cos((alpha[:, None] + alpha) / 2) * torch.sin(phase)
    return minus**2 + plus**2


def mixing_weights(neighbours, alpha, beta, *, weights, fidelity_power, usable):
    """How much each agent listens to each other one.

    Parameters
    ----------
    neighbours : (N, N) bool tensor
    alpha, beta : (N,) float64 tensors
        Radians.
    weights : {"fidelity", "uniform", "none"}
        "fidelity": proportional to |⟨ψᵢ|ψⱼ⟩| to the power `fidelity_power`, over the
        neighbours; equal where all their fidelities vanish to rounding.
    fidelity_power : float
        >= 0; 0 is "uniform".
    usable : (N,) bool tensor
        The other agents neither listen nor are listened to.

    Returns
    -------
    (N, N) float64 tensor
        Rows sum to 1, or to 0 where there is nobody to listen to.
    """
    one_of("weights", weights, WEIGHTS)
    heard = (neighbours & usable & usable[:, None]).double()
    if weights == "none":
        return torch.zeros_like(heard)
    if weights == "fidelity":
        overlap = heard * fidelity(alpha, beta)
        highest = overlap.amax(dim=1, keepdim=True)
        relative = (overlap / highest) ** (fidelity_power / 2)
        vanished = highest <= torch.finfo(torch.float64).eps
        heard = torch.where(vanished, heard, heard * relative)
    return heard / heard.sum(dim=1, keepdim=True).clamp_min(1.0)


def exchange_matrix(weights, *, gamma, pull, best, draws):
    """The matrix L of θ' = θ + Lθ: communication and the pull to the best.

    Row i of Lθ is γ Σⱼ wᵢⱼ(θⱼ − θᵢ) + pull·uᵢ·(θ_best − θᵢ). As its rows sum to zero,
    any reference may be subtracted from all θ first.

    Parameters
    ----------
    weights : (N, N) float64 tensor
        From `mixing_weights`.
    gamma, pull : float
    best : int or None
        0 to N-1: an agent. N: a point that is no agent, the further last column.
        None: nobody is pulled.
    draws : (N,) float64 tensor
        The u, in [0, 1].

    Returns
    -------
    (N, N) float64 tensor, (N, N+1) for best = N

    Raises
    ------
    ValueError
        If `best` is no column.
    """
    num_agents = len(weights)
    if best is not None and not 0 <= best <= num_agents:
        raise ValueError(f"best: got {best!r}; allowed: None, 0 to {num_agents}")
    columns = num_agents + (best == num_agents)
    exchange = weights.new_zeros(num_agents, columns, dtype=torch.float64)
    exchange[:, :num_agents] = gamma * weights
    if best is not None:
        exchange[:, best] += pull * draws
    exchange.diagonal().zero_()
    exchange.diagonal().copy_(-exchange.sum(dim=1))
    return exchange
