import pytest

from qlib.attention.claims import CLAIMS as OF_ATTENTION
from qlib.attention.claims import SAYS as SAID_OF_ATTENTION
from qlib.entanglement.claims import CLAIMS as OF_STATES
from qlib.entanglement.claims import SAYS as SAID_OF_STATES
from qlib.nas.claims import CLAIMS as OF_BLOCKS
from qlib.nas.claims import SAYS as SAID_OF_BLOCKS
from qlib.workbook import claims

TOPICS = {
    "attention": (OF_ATTENTION, SAID_OF_ATTENTION),
    "blocks": (OF_BLOCKS, SAID_OF_BLOCKS),
    "states": (OF_STATES, SAID_OF_STATES),
}


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (-17.99996, (-17.99999, -17.9998), "−17.99996 [−17.99999, −17.99980]"),
        (0.35, (0.2, 0.5), "0.35 [0.20, 0.50]"),
        (4123.4, (3900, 4500), "4123 [3900, 4500]"),
        (0.0, (-0.02, 0.03), "0.000 [−0.020, 0.030]"),
        (5, (5, 5), "5 [5, 5]"),
        (1 / 3, None, "0.333333"),
        (0.0, None, "0"),
        (-18.0, None, "−18"),
        (1234567.0, (1.2e6, None), "1.235×10⁶ [1.200×10⁶, ∞]"),
        (1e-9, None, "1×10⁻⁹"),
        (1.5, (None, 2.5), "1.5 [−∞, 2.5]"),
        (1.5, (None, None), "1.5 [−∞, ∞]"),
        (None, (1.5, None), "∞ [1.5, ∞]"),
        (None, (None, None), "∞"),
    ],
)
def test_digits_stop_where_the_interval_ends_their_meaning(value, interval, text):
    claim = {"measured": value, "interval": interval, "verdict": "does not hold"}
    shown = claims.measured(claim)
    assert shown.replace("\N{NO-BREAK SPACE}", " ") == text


def test_a_value_never_reached_is_told_from_none_measured():
    def shown(verdict):
        return claims.measured({"measured": None, "interval": None, "verdict": verdict})

    assert shown("does not hold") == "∞"
    assert shown("not testable here") == "not measured"


def test_failures_come_first_and_are_counted_in_words():
    verdicts = ["holds", "does not hold", "not testable here", "does not hold"]
    made = [
        {"verdict": verdict, "text": str(k), "kind": "result"}
        for k, verdict in enumerate(verdicts)
    ]
    assert [claim["text"] for claim in claims.failures_first(made)] == list("1320")
    assert [count["text"] for count in claims.count_verdicts(made)] == [
        "2 do not hold",
        "1 not testable here",
        "1 holds",
    ]


@pytest.mark.parametrize("verdict", ["holds", "does not hold", "not testable here"])
@pytest.mark.parametrize("topic", TOPICS)
def test_the_line_at_the_top_says_each_verdict_with_its_value(topic, verdict):
    stated, says = TOPICS[topic]
    assert set(says) <= set(stated)
    said = claims.summary({key: (verdict, f"<{key}>") for key in says}, says)
    undecided = len(says) * (verdict == "not testable here")
    assert said.count("undecided whether") == undecided
    for key, (if_so, if_not, measure) in says.items():
        assert (if_so in said) == (verdict != "does not hold")
        assert (if_not in said) == (verdict == "does not hold")
        assert measure.format(f"<{key}>") in said
