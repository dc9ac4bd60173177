"""The claims that notebook 02 tests, and the rule that decides each.

The report's are given as they reached us, without its sentences; the workbook's own
were worded after pilot runs. An interval that holds the boundary decides nothing.
"""

REPORT = "a report on annealing ResNet-18 weights"
WORKBOOK = "this workbook"
ACCEPTABLE_EXCESS = 1e-4  # nats a sample, below which losses count as equal

CLAIMS = {
    "stuck": {
        "text": "Gradient methods get stuck in local minima of the last layer",
        "source": REPORT,
        "stated": "stuck",
        "reason": "most that five random starts of L-BFGS end apart in loss, in any "
        "draw; above the acceptable excess of 1e-4 nats",
    },
    "escapes": {
        "text": "Annealing the last layer's weights gets below where SGD ends",
        "source": REPORT,
        "stated": "escapes",
        "reason": "loss of the 4-bit head annealed from random codes minus that of the "
        "head that SGD trained, interval below 0",
    },
    "convergence": {
        "text": "Anneal, inject, fine-tune converges faster than SGD, then fine-tune",
        "source": REPORT,
        "stated": "improves",
        "reason": "training loss averaged over the epochs of fine-tuning, from the "
        "annealed head minus from the head that SGD trained, interval below 0",
    },
    "annealed start": {
        "text": "The annealed head fine-tunes faster than the rounded optimum does",
        "source": WORKBOOK,
        "stated": "faster",
        "reason": "training loss averaged over the epochs of fine-tuning, from the "
        "annealed head minus from the optimum rounded to 4 bits, interval below 0",
    },
    "accuracy": {
        "text": "Anneal, inject, fine-tune ends more accurate than SGD, then fine-tune",
        "source": REPORT,
        "stated": "improves",
        "reason": "test accuracy after fine-tuning, from the annealed head minus from "
        "the head that SGD trained, interval above 0",
    },
    "binary loss": {
        "text": "At one bit, SA finds a lower loss than straight-through training",
        "source": WORKBOOK,
        "stated": "lower",
        "reason": "SA's training loss minus that of straight-through training at its "
        "best settings, bias and scale refitted for both, interval below 0",
    },
    "binary accuracy": {
        "text": "At one bit, SA's head is more accurate than the straight-through one",
        "source": WORKBOOK,
        "stated": "higher",
        "reason": "SA's test accuracy minus that of straight-through training, "
        "interval above 0",
    },
    "path integral": {
        "text": "Path-integral annealing ends lower than SA, at equal evaluations",
        "source": WORKBOOK,
        "stated": "lower",
        "reason": "path integral's training loss at one bit minus SA's, each at its "
        "best settings, interval below 0",
    },
    "pruning": {
        "text": "Annealing the pruning QUBO leaves less error than greedy with swaps",
        "source": WORKBOOK,
        "stated": "lower",
        "reason": "annealed output error over that of greedy elimination with swaps "
        "and kicks, minus 1, interval below 0",
    },
    "pruned accuracy": {
        "text": "Once refitted, the annealed mask is more accurate than brain surgery",
        "source": WORKBOOK,
        "stated": "higher",
        "reason": "test accuracy of the refitted heads, annealed mask minus that of "
        "optimal-brain-surgeon elimination, interval above 0",
    },
    "batchnorm": {
        "text": "Annealing 2-bit BatchNorm codes beats straight-through training",
        "source": WORKBOOK,
        "stated": "lower",
        "reason": "annealed loss minus that of straight-through training of the same "
        "codes, interval below 0",
    },
    "overfits": {
        "text": "Annealing accuracy itself overfits: test accuracy ends lower",
        "source": WORKBOOK,
        "stated": "less",
        "reason": "test accuracy of the head annealed on accuracy minus that of the "
        "one annealed on the loss, interval below 0",
    },
    "delta": {
        "text": "Exact changes make a proposal 40 times cheaper than a forward pass",
        "source": WORKBOOK,
        "stated": "40×",
        "reason": "proposals a second by exact changes over those by a forward pass "
        "each, interval not below the stated ratio",
    },
}
