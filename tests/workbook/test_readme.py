import json

import pytest

from qlib.workbook import readme

RESULT = {
    "name": "01_wells",
    "profile": "full",
    "parameters": {},
    "rows": [],
    "key_figures": [],
    "figures": [],
    "provenance": {},
    "title": "01 · Wells",
    "question": "Is it deep?",
    "claims": [
        {
            "text": "Deep | wide",
            "stated": "1",
            "measured": 2.0,
            "interval": (1.5, 2.5),
            "verdict": verdict,
            "kind": "result",
        }
        for verdict in ("holds", "does not hold")
    ],
}
TEXT = "# Title\n\n<!-- verdicts:begin -->\nold\n<!-- verdicts:end -->\n\nrest\n"


def test_each_notebook_shows_its_question_and_its_failures_first():
    assert readme.table([RESULT]).splitlines() == [
        "**[01 · Wells](reports/01_wells.html)** "
        "(full profile: ✕ 1 does not hold, ✓ 1 holds)",
        "",
        "Is it deep?",
        "",
        "| verdict | claim | stated | measured |",
        "| --- | --- | --- | --- |",
        "| ✕ does not hold | Deep \\| wide | 1 | 2.0 [1.5, 2.5] |",
        "| ✓ holds | Deep \\| wide | 1 | 2.0 [1.5, 2.5] |",
    ]


def test_only_the_block_between_the_markers_changes(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(TEXT)
    (tmp_path / "01_wells.json").write_text(json.dumps(RESULT))
    readme.update(path, tmp_path)
    text = path.read_text()
    assert readme.embedded(text) == readme.table([RESULT])
    assert text.startswith("# Title\n\n<!-- verdicts:begin -->\n**[01")
    assert text.endswith("|\n<!-- verdicts:end -->\n\nrest\n")
    readme.update(path, tmp_path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n",
        "<!-- verdicts:begin -->\n",
        "<!-- verdicts:end --><!-- verdicts:begin -->",
        TEXT + TEXT,
    ],
)
def test_a_readme_without_both_markers_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(ValueError, match="once each"):
        readme.update(path, tmp_path)
    assert path.read_text() == text
