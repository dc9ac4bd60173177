"""The levels of one block from below, each orthogonal to those before."""

from math import inf

import numpy as np

from qlib.entanglement.exact.lanczos import Lanczos

MOST_STEPS = 300  # of one iteration; closer levels are parted by rotation instead
ENERGY = 1e-9  # residual of an excited level, in bandwidths
FLOOR = 16  # residual, in roundings of the spread, below which copies of a level appear
CLEAR = 1e-3  # residual, over the distance to a ceiling, of a level seen above it
ROUNDS = 6  # of improving close levels in turn
MORE = 3  # levels added where those found do not part from the next


class Levels:
    """Levels of a block, found one at a time by `find`.

    Attributes
    ----------
    energies : list of float
        Ascending.
    next : float
        Estimate of the first level that is not among them; inf if not looked for.
    highest : float
        Largest Ritz value.
    has_more : bool
        Whether the next level may lie below the last ceiling.
    estimate : float
        Residual of the lowest level by Lanczos.
    products : int
        Products H|psi> so far.
    """

    def __init__(self, block, tol, generator):
        self.block, self.tol, self.generator = block, tol, generator
        self.operator, self.space = block.operator, block.operator.space
        self.energies, self.vectors, self._run = [], [], None
        self.next, self.highest, self.estimate = inf, -inf, 0.0
        self.has_more, self.products = True, 0
        self._settled = True  # whether all residuals are as small as asked for

    def find(self, ceiling):
        """Add the next level, unless it is seen to lie above `ceiling`."""
        self._store()
        if not self._settled:
            ceiling = inf  # close levels are to be found and parted first
        run = self._iteration(self._random(), self.vectors)
        ritz, sharp = self._converge(
            run, lambda ritz: max(self._sharp(ritz), _clear(ritz, ceiling))
        )
        self.highest = max(self.highest, run.highest())
        if ritz.residual < _clear(ritz, ceiling):
            self.next, self.has_more = ritz.energy, False
            return
        self.energies.append(ritz.energy)
        self._run = run
        self._settled &= sharp
        self.has_more = len(self.energies) < self.operator.dimension
        if not self._settled and len(self.energies) > 1:
            self._store()
            self._part()

    def ground(self):
        """Residual, bound on the angle to the eigenvector, and lowest vector."""
        if not self.vectors:
            self._store()
        if not self._settled and len(self.energies) < self.operator.dimension:
            self.find(inf)
        psi = self.vectors[0]
        image = self._image(psi)
        image -= self.energies[0] * psi
        residual = self.space.norm(image)
        above = self.energies[1] if len(self.energies) > 1 else self.next
        gap = above - self.energies[0]
        return residual, residual / gap if gap > 0 else inf, psi

    def _random(self):
        return self.space.random(self.operator.dimension, self.generator)

    def _iteration(self, start, found):
        scale = max(map(abs, [*self.energies, self.highest])) if self.energies else 0.0
        return Lanczos(self.operator, start, found, scale)

    def _converge(self, run, target):
        before = run.products
        ritz, reached = run.converge(target, MOST_STEPS)
        self.products += run.products - before
        return ritz, reached

    def _image(self, psi):
        image = self.space.empty(self.operator.dimension)
        self.operator.apply(psi, image)
        self.products += 1
        return image

    def _sharp(self, ritz):
        """Residual of a level whose energy alone is asked for."""
        return max(ENERGY, 2 * FLOOR * self.space.eps) * ritz.spread

    def _exact(self, ritz):
        """Residual of the ground state."""
        return max(self.tol * ritz.gap, FLOOR * self.space.eps * ritz.spread)

    def _store(self):
        """The vector of the level found last, the lowest one to full accuracy."""
        if self._run is None:
            return
        run, self._run = self._run, None
        if not self.vectors and not run.exhausted:
            ritz, exact = self._converge(run, self._exact)
            self._settled &= exact
            self.energies[0], self.estimate = ritz.energy, ritz.residual
        before = run.products
        self.vectors.append(run.ritz_vector())
        self.products += run.products - before

    def _part(self):
        """Part close levels: rotate in their span, improve each, and so on.

        An iteration that ends before it can part two levels d apart leaves a mixture of
        the two. With both mixtures in hand, rotation parts them, and an iteration from
        each, orthogonal to the other, removes all else by a factor of d over the
        distance to the other levels.
        """
        wanted = len(self.vectors)
        for _ in range(MORE + 1):
            if self._improve(wanted):
                break
            if len(self.vectors) == self.operator.dimension:
                break
            run = self._iteration(self._random(), self.vectors)
            self._converge(run, self._sharp)
            self.vectors.append(run.ritz_vector())
        if len(self.energies) > wanted:
            self.next = self.energies[wanted]
        del self.energies[wanted:], self.vectors[wanted:]

    def _improve(self, wanted):
        """Whether `wanted` levels reach the accuracy asked for."""
        worst = inf
        for _ in range(ROUNDS):
            residuals = self._rotate()
            spread = self.highest - self.energies[0]
            gap = self.energies[1] - self.energies[0]
            target = max(self.tol * gap, 2 * FLOOR * self.space.eps * spread)
            excited = max(ENERGY, 2 * FLOOR * self.space.eps) * spread
            self._settled = residuals[0] <= target and all(
                residual <= excited for residual in residuals[:wanted]
            )
            if self._settled or max(residuals[:wanted]) > worst / 2:
                break
            worst = max(residuals[:wanted])
            for place, start in enumerate(self.vectors):
                others = self.vectors[:place] + self.vectors[place + 1 :]
                run = self._iteration(start, others)
                self._converge(run, self._exact)
                self.vectors[place] = run.ritz_vector()
        return self._settled

    def _rotate(self):
        """Rayleigh-Ritz in the span of the vectors; their residuals."""
        dot = self.space.dot
        images = [self._image(psi) for psi in self.vectors]
        overlap = np.array([[dot(a, b) for b in self.vectors] for a in self.vectors])
        matrix = np.array([[dot(a, b) for b in images] for a in self.vectors])
        lower = np.linalg.inv(np.linalg.cholesky(overlap))
        matrix = lower @ matrix @ lower.conj().T
        values, rotation = np.linalg.eigh((matrix + matrix.conj().T) / 2)
        rotation = lower.conj().T @ rotation
        combine = rotation.T.tolist()

        def combined(vectors, weights):
            return sum(w * psi for w, psi in zip(weights, vectors, strict=True))

        self.vectors = [combined(self.vectors, weights) for weights in combine]
        images = [combined(images, weights) for weights in combine]
        self.energies = values.tolist()
        return [
            self.space.norm(image - value * psi)
            for image, value, psi in zip(
                images, self.energies, self.vectors, strict=True
            )
        ]


def _clear(ritz, ceiling):
    """Residual at which the lowest level is seen to lie above `ceiling`."""
    return CLEAR * (ritz.energy - ceiling) if ceiling < ritz.energy else 0.0
