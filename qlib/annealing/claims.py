"""The claims that notebook 01 tests, and what decides each, fixed before measuring."""

REPORT = "a report on quantum-inspired annealing"
STUDY = "a first study for this workbook"
WORKBOOK = "this workbook"

CLAIMS = {
    "SA": {
        "text": "SA finds the minimum of the double Rastrigin function",
        "source": REPORT,
        "stated": "best −17.9999",
        "reason": "median best value of a run, at most the stated one",
    },
    "QIA": {
        "text": "QIA finds the minimum of the double Rastrigin function",
        "source": REPORT,
        "stated": "best −17.9999",
        "reason": "median best value of a run, at most the stated one",
    },
    "stuck": {
        "text": "QIA has fewer stuck iterations than SA in the middle of a run",
        "source": REPORT,
        "stated": "fewer in mid-range",
        "reason": "QIA's stuck share minus SA's in the middle third, interval below 0",
    },
    "breadth": {
        "text": "QIA explores more broadly than SA",
        "source": REPORT,
        "stated": "more broadly",
        "reason": "QIA's share of basins visited minus SA's, interval above 0",
    },
    "GPU": {
        "text": "Particles suit a GPU",
        "source": REPORT,
        "stated": "suit a GPU",
        "reason": "runs per second, GPU over CPU, interval above 1; needs a GPU",
    },
    "polish": {
        "text": "A local polish saves nearly all of QIA's evaluations",
        "source": STUDY,
        "stated": "95 % saved",
        "reason": "1 − expected running time of polished QIA over QIA's, each at its "
        "best setting; the stated share lies below the interval's upper end",
    },
    "springs": {
        "text": "Springs between the slices of path-integral annealing never help",
        "source": STUDY,
        "stated": "never",
        "reason": "success rate gained by springs where most is gained, of three "
        "landscapes; interval (for three comparisons) not above 0",
    },
    "sooner": {
        "text": "QIA needs fewer evaluations than SA, each at its best settings",
        "source": WORKBOOK,
        "stated": "fewer",
        "reason": "QIA's expected running time over SA's, interval below 1",
    },
    "peers": {
        "text": "tunneling_annealing needs fewer evaluations than every peer on a "
        "moved and rotated Rastrigin function",
        "source": WORKBOOK,
        "stated": "fewer",
        "reason": "its expected running time over the best peer's, interval below 1",
    },
}


def table():
    """The claims as a Markdown table to display."""
    from IPython.display import Markdown

    rows = [(c["text"], c["source"], c["stated"]) for c in CLAIMS.values()]
    lines = [("Claim", "Source", "Stated"), ("---",) * 3, *rows]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))
