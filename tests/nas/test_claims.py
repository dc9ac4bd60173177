import matplotlib.pyplot as plt
import numpy as np
import pytest

from qlib.nas import claims, figures
from qlib.nas.candidates import candidates
from qlib.nas.screen import screen
from qlib.nas.supernet import train_supernet
from qlib.nas.targets import seven
from qlib.nas.tasks import FullSum

VERDICTS = ("holds", "does not hold", claims.UNTESTED)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_chance_takes_a_gain_away_and_never_gives_one(verdict):
    assert claims.beyond_chance(verdict, claims.RARE / 2) == verdict
    tied = claims.beyond_chance(verdict, claims.RARE)
    assert tied == (claims.UNTESTED if verdict == "holds" else verdict)


def test_what_is_played_with_shows_bounds_and_what_is_reached():
    targets, blocks = seven(4, 0), candidates(4, names=("MPS", "RBM, range 1"))
    task = FullSum([targets["rainbow"], targets["Heisenberg"]])
    found = train_supernet(blocks, task, scheme="darts", seeds=0, steps=3)
    spectra = targets["Heisenberg"].spectra()
    bounds = {name: screen(spectra, build()) for name, build in blocks.items()}
    figure = figures.pick("Heisenberg", bounds, found, replica=1)
    reached, *marks = figure.axes[0].lines
    assert reached.get_ydata()[0] == pytest.approx(float(found.score[1]))
    drawn = [mark.get_ydata()[0] for mark in marks]
    np.testing.assert_allclose(drawn, np.maximum(list(bounds.values()), 1e-7))
    shares = [line.get_ydata()[-1] for line in figure.axes[1].lines]
    assert sum(shares) == pytest.approx(1)
    plt.close(figure)
