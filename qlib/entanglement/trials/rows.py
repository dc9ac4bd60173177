"""What is recorded of the predictors: (metric, value, labels) of every row."""

import numpy as np

from qlib.entanglement.trials.costs import spent
from qlib.entanglement.trials.reach import TARGETS


def staged(stage):
    """Rows on who is asked, and who is not.

    Parameters
    ----------
    stage : `trials.reach.Stage`
    """
    yield "chains learnt", len(stage.train), {}
    yield "chains asked", len(stage.test), {}
    yield "largest doubt in an answer, nats", stage.doubt.max(), {}
    for family, count in stage.left_out.items():
        yield "chains passed over, answer not known", count, {"family": family}


def compared(found, *, least=10):
    """Rows on errors, intervals and what methods say lies outside.

    Parameters
    ----------
    found : `trials.reach.Comparison`
    least : int
        Points inside, or outside, by a method's word, below which the share of them in
        its intervals is no row.
    """
    for method in found.errors:
        for place, size in enumerate(TARGETS):
            labels = {"method": method, "sites": size, "setting": found.setting}
            outside = 1 - found.inside[method][:, :, place].mean()
            yield "mean absolute error, nats", found.error(method, size).value, labels
            yield "share told outside", outside, labels
            covered = found.coverage(method, size)
            if covered is None:
                continue
            yield "share in the interval", covered.value, labels
            yield (
                "median width of the interval, nats",
                found.width(method, size),
                labels,
            )
            for told in (True, False):
                among = (found.inside[method][:, :, place] == told).any(axis=0).sum()
                if among >= least:
                    share = found.coverage(method, size, told).value
                    where = labels | {"told": "inside" if told else "outside"}
                    yield "share in the interval", share, where


def errors_of_dmrg(by_truncation):
    """Rows on DMRG's errors, without and with the chains that it reports as broken.

    Parameters
    ----------
    by_truncation : dict
        Truncation to `trials.costs.Cost`.
    """
    for truncation, one in by_truncation.items():
        labels = {"method": "DMRG", "truncation": truncation}
        wrong = np.abs(one.dmrg_error)
        yield "mean absolute error, nats", wrong[~one.broken].mean(), labels
        yield "error with those passed over, nats", wrong.mean(), labels


def seconds(found, by_truncation):
    """Rows of times: predictions, trainings, DMRG.

    Parameters
    ----------
    found : `trials.reach.Comparison`
    by_truncation : dict
        Truncation to `trials.costs.Cost`.
    """
    finest = by_truncation[min(by_truncation)]
    for method, (training, _) in found.seconds.items():
        labels = {"method": method}
        yield "seconds a chain", np.median(spent(finest, method, found)), labels
        yield "seconds of training", training, labels
    for truncation, one in by_truncation.items():
        labels = {"method": "DMRG", "truncation": truncation}
        yield "seconds a chain", np.median(one.dmrg_seconds), labels
