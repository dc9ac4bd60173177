import re

import pytest

from qlib.workbook.markup import Markup


def formulas(text):
    return re.findall(r'<svg role="img" aria-label="([^"]*)"', text)


def without_svg(text):
    return re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("the cost $x^2$ of", ["x^2"]),
        ("$a$ and $b$", ["a", "b"]),
        ("$$\na = b\n$$", ["a = b"]),
        ("text\n$$a$$\ntext", ["a"]),
        ("so $$a$$ inline", ["a"]),
        ("- item $a_1$ and *em* $b_1$", ["a_1", "b_1"]),
        ("| $a$ | $b$ |\n|---|---|\n| $c$ | 1 |", ["a", "b", "c"]),
        ("## Head $\\alpha$", ["\\alpha"]),
        ("\\begin{align}\na &= b\n\\end{align}", None),
        ("costs \\$5 and \\$6", []),
        ("`$a$` and ``$$b$$``", []),
        ("$5 and `$a$`", []),
        ("from $5 to 6$5", []),
        ("```\n$$\na\n$$\n```", []),
        ("    $$a$$", []),
    ],
)
def test_dollars_are_formulas_except_in_code_and_prices(source, expected):
    found = formulas(Markup().markdown(source))
    if expected is None:
        assert len(found) == 1
        assert found[0].startswith("\\begin{align}")
    else:
        assert found == expected


def test_code_spans_and_fences_keep_their_dollars():
    text = Markup().markdown("`$a$` and\n\n```\n$$\nb\n$$\n```")
    assert "<code>$a$</code>" in text
    assert "$$\nb\n$$" in text


@pytest.mark.parametrize("tex", ["x", "y", "x_1", "\\frac{1}{2}", "g", "\\sum_i x_i"])
def test_a_formula_sits_on_the_baseline_of_its_line(tex):
    text = Markup().tex(tex, display=False)
    drop = float(re.search(r"vertical-align:(-?[\d.]+)em", text)[1])
    top, height = map(float, re.search(r'viewBox="\S+ (\S+) \S+ (\S+)"', text).groups())
    assert drop * 16 == pytest.approx(-(top + height), abs=0.02)


def test_formulas_take_the_colour_of_their_text():
    markup = Markup()
    drawn = markup.tex("\\frac{x}{\\sqrt{y}}", display=True) + markup.sprite()
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', drawn)) == {"currentColor"}
    assert "xmlns" not in drawn


def test_every_glyph_is_drawn_once_and_found():
    markup = Markup()
    text = markup.markdown("$x + y$ and $x^x$ and $$\\left[\\frac{x}{y}\\right]$$")
    drawn = re.findall(r'<symbol [^>]*id="([^"]*)"', markup.sprite())
    assert len(drawn) == len(set(drawn))
    assert set(re.findall(r'href="#([^"]*)"', text)) == set(drawn)


def test_a_formula_gives_the_same_bytes_twice():
    source = (
        r"$$\left(\begin{matrix} a\\ b\\ c\\ d\\ e\\ f\\ g\\ h\end{matrix}\right)$$"
    )
    one, two = Markup(), Markup()
    assert one.markdown(source) == two.markdown(source)
    assert one.sprite() == two.sprite()


@pytest.mark.parametrize(
    ("tex", "error"),
    [
        ("\\foo{x}", r"unknown command \\foo"),
        ("\\SI{3}{m}", r"unknown command \\SI"),
        ("\\left(\\frac{\\sum_i x_i}{\\int x}\\right)", r"\d+ em tall"),
        ("\\begin{matrix} a", "cannot be typeset"),
    ],
)
def test_a_formula_that_cannot_be_set_is_refused_by_its_source(tex, error):
    with pytest.raises(ValueError, match=error) as caught:
        Markup().tex(tex, display=True)
    assert repr(tex) in str(caught.value)


def test_headings_have_distinct_anchors_and_the_title_is_left_out():
    markup = Markup()
    text = markup.markdown("# Title\n\n## The end\n\n## The end\n\n### Findings")
    text += markup.markdown("## The end")
    anchors = [heading["id"] for heading in markup.headings]
    assert anchors == ["the-end", "the-end-2", "findings-2", "the-end-3"]
    assert all(f'id="{anchor}"' in text for anchor in anchors)
    assert "Title" not in text


def test_an_outside_address_is_shown_not_linked():
    text = Markup().markdown(
        "See [Storn & Price](https://doi.org/10.1023/A) and <https://a.example/b/>"
        " and [the index](index.html)."
    )
    assert "Storn &amp; Price <span" in text
    assert '<span class="address">(doi.org/10.1023/A)</span>' in text
    assert '<span class="address">a.example/b</span>' in text
    assert re.findall(r'href="([^"]*)"', text) == ["index.html"]


def test_an_attached_image_stands_in_the_page_with_its_text():
    attachments = {"well.png": {"image/png": "iVBORw0KGgo=\n"}}
    text = Markup().markdown("![Two *deep* wells](attachment:well.png)", attachments)
    assert '<img alt="Two deep wells" src="data:image/png;base64,iVBORw0KGgo=">' in text
    with pytest.raises(ValueError, match="attachment 'well"):
        Markup().markdown("![Wells](attachment:well.png)")
