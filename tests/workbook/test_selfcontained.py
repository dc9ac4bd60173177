import pytest

from qlib.workbook.selfcontained import check_fragment, check_page


@pytest.mark.parametrize(
    ("fragment", "error"),
    [
        ("<script>1</script>", "<script> would load"),
        ('<SCRIPT src="data:,1"></SCRIPT>', "<script> would load"),
        ('<iframe srcdoc="x"></iframe>', "<iframe> would load"),
        ('<link rel="icon" href="#">', "<link> would load"),
        ('<meta http-equiv="refresh" content="0;url=x">', "<meta> would load"),
        ('<form action="#"></form>', "<form> would load"),
        ('<p onclick="f()">x</p>', "a script in onclick"),
        ('<img alt="a" src="https://a.example/b.png">', "a.example/b.png' outside"),
        ('<img alt="a" src="//a.example/b.png">', "outside the page"),
        ('<img alt="a" src="b.png">', "outside the page"),
        ('<img alt="a" srcset="b.png 2x">', "outside the page"),
        ('<img alt="a" srcset="data:image/png;,AA 1x, b.png 2x">', "outside the page"),
        ('<table background="b.png"></table>', "outside the page"),
        ('<svg><rect fill="url(b.svg#c)"/></svg>', "loads 'url"),
        ("<p style=\"background:image-set('b.png' 1x)\">x</p>", "loads 'image-set"),
        ('<svg><a><set attributeName="href" to="x"/></a></svg>', "<set> would load"),
        (
            '<svg><animate attributeName="xlink:href" values="x"/></svg>',
            "<animate> would load",
        ),
        ('<a href="https://a.example">x</a>', "outside the page"),
        ('<a href="javascript:f()">x</a>', "outside the page"),
        ('<a href="/etc/hosts">x</a>', "outside the page"),
        ('<a href="data:text/html,x">x</a>', "outside the page"),
        ('<svg><use xlink:href="b.svg#c"/></svg>', "outside the page"),
        ('<p style="background:url(b.png)">x</p>', "loads 'url"),
        ("<style>@import 'b.css';</style>", "loads '@import'"),
        ("<style>p { background: URL( 'b.png' ) }</style>", "loads"),
        ('<img src="data:image/png;base64,AA==">', "no alternative text"),
        ('<img alt=" " src="data:image/png;base64,AA==">', "no alternative text"),
        ('<p id="a"></p><p id="a"></p>', "repeats the id 'a'"),
    ],
)
def test_what_loads_or_hides_is_refused(fragment, error):
    with pytest.raises(ValueError, match=error):
        check_page(f"<!DOCTYPE html><p>before</p>{fragment}")


def test_what_stands_in_the_page_is_allowed():
    check_page(
        '<meta http-equiv="Content-Security-Policy" content="img-src data:">'
        '<img alt="url(x) is shown" srcset="data:image/png;,AA 2x">'
        '<p id="a"><a href="#a">up</a> <a href="index.html">index</a> '
        '<a href="01_rastrigin.html#a">01</a> <img alt="dot" src="data:image/png;,">'
        "<style>p { fill: url(#a); background: url('data:image/png;,') }</style>"
        "<code>&lt;script&gt; https://a.example</code>"
    )


@pytest.mark.parametrize(
    ("fragment", "error"),
    [
        ("<p>x</p></div></section>", "</div> closes no"),
        ("<div><p>x</div>", "</div> closes no"),
        ("<div>x", "<div> is not closed"),
        ("<div/>x", "<div> is not closed"),
        ("<p>x</p><!-- y", "comment, tag or quotation mark"),
        ('<p class="x>y</p>', "comment, tag or quotation mark"),
        ("<p>x</p><b", "not closed"),
        ("<textarea>x", "not closed"),
        ("<title>x", "not closed"),
        ("<style>x", "not closed"),
        ("<plaintext>x</plaintext>", "<plaintext>"),
    ],
)
def test_what_reaches_beyond_its_own_cell_is_refused(fragment, error):
    with pytest.raises(ValueError, match=error):
        check_fragment(fragment)


def test_what_is_closed_in_order_is_allowed():
    check_fragment("<!-- a --><p>a<br>b & c<hr/></p><svg/><svg><path/><g></g></svg> &")
