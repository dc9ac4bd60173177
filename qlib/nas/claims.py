"""The claims that notebook 05 tests, and the rule that decides each.

The proposal's are given as they reached us, without numbers, since it gives none; the
workbook's own make them measurable, or ask what a user would. An interval that holds
the boundary decides nothing.
"""

PROPOSAL = "the QED-NAS proposal"
WORKBOOK = "this workbook"
NO_NUMBER = "—"  # of the workbook's own claims, which state none
ROUNDING = 1e-12  # by which an infidelity may fall below its bound
REACHED = 0.5  # decades of infidelity that count as near
LOST = 0.1  # decades that a rule may lose and count as losing nothing
TOLD = 0.1  # nats, within which an entropy counts as known
EXPLAINED = 0.5  # share of variance that counts as most of it
RARE = 0.05  # probability below which chance is ruled out
ENERGY = 1e-3  # relative error of an energy that counts as right

_GAIN = (
    "decades of infidelity spared against the block that is best on average over the "
    "other families, family held out, mean over families"
)
_REGRET = (
    "mean regret, in decades of infidelity above the best of all architectures, at "
    "equal evaluations, training alone of the pick included, mean over targets with "
    "Student's interval"
)
_CHAIN = "64 qubits, critical Ising chain"

CLAIMS = {
    "bound": {
        "text": "No trained block falls below the infidelity that its entanglement "
        "capacity bounds",
        "source": WORKBOOK,
        "stated": "a theorem",
        "reason": "least difference of infidelity and bound over all targets, blocks "
        "and seeds; holds above -1e-12, and checks the program, not nature",
    },
    "ladder": {
        "text": "Entropy alone picks the architecture: short-range RBM, MPS, attention "
        "as it grows",
        "source": PROPOSAL,
        "stated": "from entanglement alone",
        "reason": f"{_GAIN}, thirds of the largest entropy, declared before any block "
        "was trained, interval above 0",
    },
    "learnt": {
        "text": "Features of the entanglement spectrum, learnt from, pick a better "
        "block than one block for all targets",
        "source": PROPOSAL,
        "stated": "from entanglement alone",
        "reason": f"{_GAIN}, a forest on all features, interval above 0",
    },
    "null": {
        "text": "What a forest on entanglement gains is tied to the targets' own "
        "entanglement",
        "source": WORKBOOK,
        "stated": NO_NUMBER,
        "reason": "share of shuffles of entanglement among families in which it gains "
        "as much, the table itself counted; holds below 0.05",
    },
    "readable": {
        "text": "A readable rule, one threshold on one feature, picks as well as a "
        "black box",
        "source": PROPOSAL,
        "stated": "interpretable",
        "reason": "regret of one fitted threshold minus the forest's, decades, families "
        "held out, mean over families; holds where the interval lies below 0.1",
    },
    "rotation": {
        "text": "Entanglement fixes the best block: one for a state and for its copies "
        "with rotated qubits loses nothing",
        "source": WORKBOOK,
        "stated": NO_NUMBER,
        "reason": "least mean regret of any rule that names one block for a target and "
        "its form rotated qubit by qubit, decades, mean over families; holds where the "
        "interval lies below 0.1",
    },
    "range": {
        "text": "Area law goes with short range, volume law with long range",
        "source": PROPOSAL,
        "stated": "area law short, volume law long",
        "reason": "rank correlation of the entropy gained with a site and the decades "
        "that an RBM gains by seeing all sites in place of its neighbours, families "
        "resampled, interval above 0",
    },
    "explained": {
        "text": "Entanglement explains most of what blocks reach",
        "source": WORKBOOK,
        "stated": NO_NUMBER,
        "reason": "share of the variance of log10 infidelity that a forest on the "
        "entanglement features explains on families held out, mean over blocks, "
        "interval above 0.5",
    },
    "supernet": {
        "text": "The supernet (DARTS) finds better architectures than a fixed one",
        "source": PROPOSAL,
        "stated": "better than fixed",
        "reason": f"{_REGRET}, DARTS minus the architecture that is best on the other "
        "targets, interval below 0",
    },
    "random": {
        "text": "The supernet (DARTS) finds better architectures than random search",
        "source": WORKBOOK,
        "stated": NO_NUMBER,
        "reason": f"{_REGRET}, DARTS minus random search, interval below 0",
    },
    "halving": {
        "text": "Successive halving, without a supernet, finds better architectures "
        "than the best supernet",
        "source": WORKBOOK,
        "stated": NO_NUMBER,
        "reason": f"{_REGRET}, halving minus the supernet scheme of least regret in "
        "hindsight, interval below 0",
    },
    "shared": {
        "text": "A supernet's weights tell what its pick reaches alone",
        "source": PROPOSAL,
        "stated": "a proxy of training",
        "reason": "decades between the pick's infidelity with DARTS' shared weights "
        "and trained alone, mean over targets, interval below 0.5",
    },
    "penalty": {
        "text": "Matching the target's entropies in the loss makes the supernet choose "
        "better",
        "source": PROPOSAL,
        "stated": "entanglement match",
        "reason": f"{_REGRET}, DARTS with λ > 0 minus without, interval below 0",
    },
    "screened": {
        "text": "Screening candidates by their bound makes successive halving choose "
        "better",
        "source": WORKBOOK,
        "stated": NO_NUMBER,
        "reason": f"{_REGRET}, halving with the screen minus without, interval below 0",
    },
    "certify": {
        "text": f"An energy right to {ENERGY:g} certifies the half chain's entropy",
        "source": WORKBOOK,
        "stated": "within 0.1 nats",
        "reason": "largest error of the half-chain entropy among states whose energy is "
        "right to a relative 1e-3, nats; holds below 0.1",
    },
}
