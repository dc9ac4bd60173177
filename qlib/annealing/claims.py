"""The claims that notebook 01 tests, and the rule that decides each."""

REPORT = "a report on quantum-inspired annealing"
STUDY = "a first study for this workbook"
WORKBOOK = "this workbook"

CLAIMS = {
    "SA": {
        "text": "SA finds the minimum of the double Rastrigin function",
        "source": REPORT,
        "stated": "best −17.9999",
        "reason": "median best value of a run; interval not above the stated one",
    },
    "QIA": {
        "text": "QIA finds the minimum of the double Rastrigin function",
        "source": REPORT,
        "stated": "best −17.9999",
        "reason": "median best value of a run; interval not above the stated one",
    },
    "stuck, narrowing step": {
        "text": "QIA has fewer stuck iterations than SA in the middle of a run",
        "source": REPORT,
        "stated": "fewer in mid-range",
        "reason": "QIA's stuck share minus SA's in the middle third, interval below 0",
    },
    "breadth, narrowing step": {
        "text": "QIA explores more broadly than SA",
        "source": REPORT,
        "stated": "more broadly",
        "reason": "QIA's share of basins visited minus SA's, interval above 0",
    },
    "stuck, fixed step": {
        "text": "QIA has fewer stuck iterations than an SA whose step never narrows",
        "source": REPORT,
        "stated": "fewer in mid-range",
        "reason": "QIA's stuck share minus SA's in the middle third, both with one "
        "short step, interval below 0",
    },
    "breadth, fixed step": {
        "text": "QIA explores more broadly than an SA whose step never narrows",
        "source": REPORT,
        "stated": "more broadly",
        "reason": "QIA's share of basins visited minus SA's, both with one short step, "
        "interval above 0",
    },
    "GPU": {
        "text": "Particles suit a GPU",
        "source": REPORT,
        "stated": "suit a GPU",
        "reason": "runs per second, GPU over the faster CPU code, interval above 1",
    },
    "polish": {
        "text": "A local polish saves nearly all of QIA's evaluations",
        "source": STUDY,
        "stated": "95 % saved",
        "reason": "1 − expected running time of polished QIA over that of QIA at its "
        "best settings; interval not below the stated share",
    },
    "springs": {
        "text": "Springs between the slices of path-integral annealing never help",
        "source": STUDY,
        "stated": "never",
        "reason": "expected running time with springs over that without, each at its "
        "best settings, where springs do best; interval (for all landscapes) above 1, "
        "undecided if it holds 1",
    },
    "boltzmann": {
        "text": "Walks at a fixed temperature sample the Boltzmann density",
        "source": WORKBOOK,
        "stated": "p > 0.001",
        "reason": "smallest p-value of four Kolmogorov-Smirnov tests, times four",
    },
    "sooner": {
        "text": "QIA needs fewer evaluations than SA, each at its best settings",
        "source": WORKBOOK,
        "stated": "fewer",
        "reason": "QIA's expected running time over SA's, geometric mean of repeated "
        "tunings, interval below 1",
    },
    "peers": {
        "text": "tunneling_annealing needs fewer evaluations than every peer on a "
        "moved and rotated Rastrigin function",
        "source": WORKBOOK,
        "stated": "fewer",
        "reason": "its expected running time over the best peer's, interval below 1",
    },
}
