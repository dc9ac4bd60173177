"""Three-term Lanczos iteration for the lowest level of a Hermitian operator."""

from math import log
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh_tridiagonal, eigvalsh_tridiagonal

FIRST_LOOK, NEXT_LOOK = 12, 8  # steps to the first and second tridiagonal problem
FURTHER = 0.8  # of the steps that convergence at the last rate would take
KEPT = 1 << 22  # entries of Krylov vectors kept for the Ritz vector: 32 MiB
TINY = 1e-300  # stands for zero in a logarithm
BREAKDOWN = 500  # in units of rounding and of the operator's size


class Ritz(NamedTuple):
    """What a Krylov space tells of the lowest level.

    Attributes
    ----------
    energy, residual : float
        Lowest Ritz value θ and the norm of (H − θ) on its vector.
    gap : float
        From θ to the next Ritz value: at least the gap above the level; inf in a
        space of one dimension.
    spread : float
        Gershgorin's bound on the span of all Ritz values.
    """

    energy: float
    residual: float
    gap: float
    spread: float


class Lanczos:
    """Krylov space of `operator` from `start`, orthogonal to the states in `found`.

    No vector but the last two is made orthogonal. That is enough for the lowest level:
    orthogonality is lost only along Ritz vectors that have converged to rounding
    (C. C. Paige, J. Inst. Math. Appl. 18, 341 (1976)), and the iteration ends before.
    As many Krylov vectors are kept as fit in 32 MiB of float64, which at N = 16 are 128
    of a parity. For the rest a second pass of the same recurrence goes on when the Ritz
    vector is added up.

    Parameters
    ----------
    operator
        With `dimension`, `space` and `apply(psi, out)`.
    start : (dimension,) array
        Overwritten: projected and normalised.
    found : list of (dimension,) arrays
        Orthonormal states to stay orthogonal to (deflation).
    scale : float
        Size of the operator as far as it is known. What is left of it beside `found`
        may be zero, and its rounding is then no Krylov vector.
    """

    def __init__(self, operator, start, found=(), scale=0.0):
        self.operator, self.space, self.found = operator, operator.space, list(found)
        self.room = operator.dimension - len(self.found)
        self.alphas, self.betas, self._scale = [], [], scale
        self.products = 0
        self.exhausted = self.room < 1
        if self.exhausted:
            return
        for _ in range(2):  # the second removes what rounding left of the first
            self._project(start)
            start /= self.space.norm(start)
        self.most_kept = max(1, KEPT // operator.dimension)
        self.basis = [start]
        self.last, self.current = None, start  # the two that the recurrence needs
        self.spare = None  # what the next product may overwrite

    def _project(self, psi):
        for state in self.found:
            self.space.add(psi, -self.space.dot(state, psi), state)

    def _next(self, current, last, spare, step):
        """H current − α current − β last in `spare`; α is measured at a new step."""
        self.operator.apply(current, spare)
        self.products += 1
        if step == len(self.alphas):
            self.alphas.append(self.space.dot(current, spare).real)
        self.space.add(spare, -self.alphas[step], current)
        if step:
            self.space.add(spare, -self.betas[step - 1], last)
        self._project(spare)
        return spare

    def step(self):
        """Enlarge the Krylov space by one vector; one product H|psi>."""
        steps = len(self.alphas)
        vector = self._next(self.current, self.last, self._overwritten(), steps)
        beta = self.space.norm(vector)
        self._scale = max(self._scale, abs(self.alphas[-1]) + beta)
        eps = self.space.eps
        if beta <= BREAKDOWN * eps * self._scale:
            self.exhausted, beta = True, 0.0
        elif steps + 1 >= self.room and beta <= eps**0.5 * self._scale:
            self.exhausted = True  # not where orthogonality is lost and beta is large
        self.betas.append(beta)
        if self.exhausted:
            return
        vector /= beta
        if steps > self.most_kept:
            self.spare = self.last
        if steps + 1 < self.most_kept:
            self.basis.append(vector)
        self.last, self.current = self.current, vector

    def _overwritten(self):
        """A vector for the next product: one no longer needed, or a new one."""
        vector, self.spare = self.spare, None
        return self.space.empty(self.operator.dimension) if vector is None else vector

    def ritz(self):
        """The lowest Ritz value and how far it can be trusted."""
        alphas, betas = np.array(self.alphas), np.array(self.betas)
        top = min(1, len(alphas) - 1)
        values, vectors = eigh_tridiagonal(
            alphas, betas[:-1], select="i", select_range=(0, top), check_finite=False
        )
        self._coefficients = vectors[:, 0]
        reach = betas.copy()
        reach[-1] = 0.0
        reach[1:] += betas[:-1]
        spread = (alphas + reach).max() - (alphas - reach).min()
        gap = values[1] - values[0] if top else np.inf
        residual = abs(betas[-1] * vectors[-1, 0])
        return Ritz(float(values[0]), float(residual), float(gap), float(spread))

    def converge(self, target, most):
        """Step until the residual is `target(ritz)`, or as far as the space goes.

        Residuals shrink geometrically, on the whole: the rate between two looks tells
        when to look again.

        Parameters
        ----------
        target : callable
            Ritz to the residual aimed at.
        most : int
            Steps allowed in all.

        Returns
        -------
        ritz : Ritz
        reached : bool
        """
        look, before = len(self.alphas) or FIRST_LOOK, None
        while True:
            steps = len(self.alphas)
            if self.exhausted or steps >= look:
                ritz = self.ritz()
                excess = log(max(ritz.residual, TINY)) - log(max(target(ritz), TINY))
                if excess <= 0 or self.exhausted or steps >= most:
                    return ritz, excess <= 0
                ahead = NEXT_LOOK
                if before is not None and excess < before[1]:
                    rate = (before[1] - excess) / (steps - before[0])
                    ahead = min(max(round(FURTHER * excess / rate), 2), 2 * NEXT_LOOK)
                look, before = min(steps + ahead, most), (steps, excess)
            self.step()

    def highest(self):
        """The largest Ritz value."""
        top = len(self.alphas) - 1
        values = eigvalsh_tridiagonal(
            np.array(self.alphas),
            np.array(self.betas[:-1]),
            select="i",
            select_range=(top, top),
        )
        return float(values[0])

    def ritz_vector(self):
        """The lowest Ritz vector of the last `ritz()`, normalised."""
        weights = self._coefficients.tolist()
        psi = self.space.zeros(self.operator.dimension)
        for weight, vector in zip(weights, self.basis, strict=False):
            self.space.add(psi, weight, vector)
        last, current = [None, *self.basis][-2:]
        for step in range(len(self.basis), len(weights)):
            vector = self._next(current, last, self._overwritten(), step - 1)
            vector /= self.betas[step - 1]
            self.space.add(psi, weights[step], vector)
            if step > self.most_kept + 1:
                self.spare = last
            last, current = current, vector
        psi /= self.space.norm(psi)
        return psi
