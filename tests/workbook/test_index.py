import json
import re

import pytest

from qlib.workbook import index
from qlib.workbook.claims import SYMBOLS
from qlib.workbook.page import without_timing
from qlib.workbook.record import Run


def publish(folder, name, *, profile="quick", verdicts=("holds",), seed=0):
    run = Run(name, {"profile": profile, "seed": seed})
    for number, verdict in enumerate(verdicts):
        run.claim(
            f"{name} claim {number}",
            source="a report",
            stated="1",
            measured=2.0,
            interval=(1.5, 2.5),
            verdict=verdict,
            seeds=30,
            budget="100 evaluations",
            reason="A reason.",
        )
    run.key_figure("success", "0.9")
    run.key_figure("runs per second", f"{seed}", kind="time")
    result = json.loads(run.write(folder / "run").read_text())
    result["title"] = f"{name[:2]} · Wells & valleys"
    result["question"] = "Is $f$ deep?"
    (folder / f"{name}.json").write_text(json.dumps(result))
    return result


def test_failures_of_all_notebooks_come_first(tmp_path):
    publish(tmp_path, "02_b", verdicts=["holds", "does not hold"])
    publish(tmp_path, "01_a", verdicts=["not testable here", "does not hold"])
    text = index.write_index(tmp_path).read_text()
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    assert re.findall(r'"what">(.*?)</span>', body) == [
        "01_a claim 1",
        "02_b claim 1",
        "01_a claim 0",
        "02_b claim 0",
    ]


def test_every_verdict_is_explained_above_the_claims(tmp_path):
    publish(tmp_path, "01_a")
    text = index.write_index(tmp_path).read_text()
    legend = re.search(r'<p class="legend">(.*?)</p>', text)
    assert legend.end() < text.index("<thead>")
    for verdict in SYMBOLS:
        assert f"</span> {verdict}: " in legend[1]
    assert "n = 30, 100 evaluations" in text


def test_every_claim_shows_the_profile_of_its_own_notebook(tmp_path):
    publish(tmp_path, "01_a", profile="full")
    publish(tmp_path, "02_b", profile="quick")
    text = index.write_index(tmp_path).read_text()
    rows = re.findall(r"<tr>(.*?)</tr>", text, re.DOTALL)
    for name, profile in (("01_a", "full"), ("02_b", "quick")):
        (row,) = (row for row in rows if f"{name} claim" in row)
        assert re.findall(r"(\w+) profile", row) == [profile]


def test_cards_stand_in_the_order_of_the_notebooks(tmp_path):
    for name in ("10_c", "02_b", "01_a"):
        publish(tmp_path, name)
    text = index.write_index(tmp_path).read_text()
    links = re.findall(r'<h3><a href="(.*?)">(.*?)</a>', text)
    assert links == [
        (f"{name}.html", f"{name[:2]} · Wells &amp; valleys")
        for name in ("01_a", "02_b", "10_c")
    ]


def test_the_same_records_give_the_same_index_but_for_seconds(tmp_path):
    publish(tmp_path, "01_a", seed=1)
    one = index.write_index(tmp_path).read_text()
    assert one == index.write_index(tmp_path).read_text()
    result = json.loads((tmp_path / "01_a.json").read_text())
    result["seconds"] = 4711
    result["key_figures"][1]["value"] = "0815"
    (tmp_path / "01_a.json").write_text(json.dumps(result))
    two = index.write_index(tmp_path).read_text()
    assert one != two
    assert without_timing(one) == without_timing(two)


def test_a_flipped_verdict_of_speed_changes_only_what_is_timed(tmp_path):
    result = publish(tmp_path, "01_a", verdicts=["holds", "does not hold", "holds"])
    result["claims"][0]["kind"] = "time"

    def judged(verdict):
        result["claims"][0]["verdict"] = verdict
        return index.render_index([result])

    one, two = judged("holds"), judged("does not hold")
    assert one != two
    assert without_timing(one) == without_timing(two)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"claims"', '"klaims"'),
        lambda text: text.replace('"title"', '"tidle"'),
    ],
)
def test_a_damaged_record_is_named_and_the_old_index_stays(tmp_path, damage):
    publish(tmp_path, "01_a")
    publish(tmp_path, "02_b")
    old = index.write_index(tmp_path).read_bytes()
    path = tmp_path / "02_b.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=r"02_b\.json is no published record"):
        index.write_index(tmp_path)
    assert (tmp_path / "index.html").read_bytes() == old
    assert not list(tmp_path.glob(".index*"))


def test_no_notebook_at_all_still_gives_an_index(tmp_path):
    assert "No notebook has recorded a claim" in index.write_index(tmp_path).read_text()
