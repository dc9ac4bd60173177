"""What a benchmark shows is what it writes."""

from qlib.workbook.benchmark import markdown_table, publish
from qlib.workbook.markup import Markup


def test_a_table_is_read_back_cell_by_cell():
    page = Markup().markdown(markdown_table(["N", "seconds"], [[8, 0.5], [20, ""]]))
    cells = ["<th>N", "<th>seconds", "<td>8", "<td>0.5", "<td>20", "<td>"]
    places = [page.index(f"{cell}</t") for cell in cells]
    assert places == sorted(places)
    assert page.count("<td>") == 4


def test_a_page_is_printed_and_written_where_a_path_is_given(tmp_path, capsys):
    publish("σ = ½\n", tmp_path / "one.md", None, tmp_path / "two.md")
    assert capsys.readouterr().out == "σ = ½\n\n"
    for name in ("one.md", "two.md"):
        assert (tmp_path / name).read_bytes() == "σ = ½\n".encode()
