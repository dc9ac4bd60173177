"""Markdown and TeX as HTML that needs neither script nor font files.

Formulas become SVG: every glyph is drawn once in a sprite at the top of the page and
referred to by each formula, in the colour of the text around it.
"""

import hashlib
import html
import re
import warnings
from xml.etree import ElementTree

import mistune

MATH_SIZE = 16  # user units to one em; the page scales by em
RESERVED = {"main", "contents", "findings"}  # anchors of the page's own parts
TALLEST = 40  # em; more than that is a failed layout, not a formula

_BLOCK_MATH = r"^ {0,3}\$\$(?P<block_tex>[^`]+?)\$\$[ \t]*$"
_ENVIRONMENT = (
    r"^ {0,3}(?P<env_tex>\\begin\{(?P<env>[a-z]+\*?)\}[\s\S]+?\\end\{(?P=env)\})[ \t]*$"
)
_DISPLAY_MATH = r"\$\$(?P<display_tex>(?:\\.|[^$`\\])+?)\$\$"
_INLINE_MATH = r"\$(?![\s$])(?P<inline_tex>(?:\\.|[^$`\\])+?)(?<!\s)\$(?![\d$])"


class Markup:
    """The text of one page: converts it and keeps its headings and formula glyphs.

    Attributes
    ----------
    headings : list of dict
        ``level``, ``id``, ``html`` of each heading so far; ids are unique.
    """

    def __init__(self):
        self.headings = []
        self._symbols = {}

    def markdown(self, source, attachments=None):
        """Convert one Markdown cell or output.

        Parameters
        ----------
        source : str
        attachments : dict, optional
            A cell's attachments, ``{name: {MIME type: base64}}``.

        Returns
        -------
        str
            HTML. The level-1 heading is left to the page's header.

        Raises
        ------
        ValueError
            If a formula cannot be typeset or an attachment is missing.
        """
        convert = mistune.create_markdown(
            renderer=_Renderer(self, attachments or {}),
            plugins=["table", "strikethrough", "def_list", _math],
        )
        return convert(source)

    def tex(self, source, *, display):
        """Typeset one formula.

        Parameters
        ----------
        source : str
            TeX without its dollar signs.
        display : bool
            On its own line and larger, or within a sentence.

        Returns
        -------
        str
            An ``<svg>`` that refers to glyphs in `sprite`; display formulas stand in a
            block of their own.

        Raises
        ------
        ValueError
            If the formula uses an unknown command or its layout fails.
        """
        ziamath = _import_ziamath()
        source = source.strip()
        starred = re.sub(r"\{(align|equation|gather)\}", r"{\1*}", source)
        try:
            drawing = ziamath.Latex(
                starred, size=MATH_SIZE, inline=not display, color="currentColor"
            )
            svg, box = drawing.svgxml(), drawing.node.bbox
        except Exception as error:
            raise ValueError(
                f"formula {source!r} cannot be typeset: {error}"
            ) from error
        unknown = re.findall(r"\\[A-Za-z]+", "".join(drawing.mathml.itertext()))
        if unknown:
            raise ValueError(f"formula {source!r} uses unknown command {unknown[0]}")
        x, y, width, height = map(float, svg.get("viewBox").split())
        if height > TALLEST * MATH_SIZE:
            raise ValueError(
                f"formula {source!r} comes out {height / MATH_SIZE:.0f} em tall; write "
                "its delimiters without \\left and \\right"
            )
        self._move_symbols(svg)
        body = "".join(ElementTree.tostring(part, encoding="unicode") for part in svg)
        drop = (box.ymin - drawing.margin) / MATH_SIZE
        kind = "math display" if display else "math"
        return (
            f'<span class="{kind}"><svg role="img" aria-label="{html.escape(source)}" '
            f'width="{width / MATH_SIZE:.4g}em" height="{height / MATH_SIZE:.4g}em" '
            f'viewBox="{x:g} {y:g} {width:g} {height:g}" '
            f'style="vertical-align:{drop:.4g}em">{body}</svg></span>'
        )

    def sprite(self):
        """The glyphs of every formula so far, to stand before the first of them."""
        if not self._symbols:
            return ""
        return (
            '<svg width="0" height="0" style="position:absolute" aria-hidden="true">'
            f"{''.join(self._symbols.values())}</svg>"
        )

    def _move_symbols(self, svg):
        """Move glyphs into the sprite, named by shape: the ids they come with clash."""
        names = {}
        for parent in list(svg.iter()):
            for symbol in parent.findall("symbol"):
                parent.remove(symbol)
                given = symbol.attrib.pop("id")
                shape = ElementTree.tostring(symbol)
                name = "g" + hashlib.sha256(shape).hexdigest()[:12]
                symbol.set("id", name)
                names[given] = name
                self._symbols[name] = ElementTree.tostring(symbol, encoding="unicode")
        for use in svg.iter("use"):
            use.set("href", "#" + names[use.get("href")[1:]])


class _Renderer(mistune.HTMLRenderer):
    def __init__(self, markup, attachments):
        super().__init__(escape=False)
        self._markup = markup
        self._attachments = attachments

    def heading(self, text, level, **attributes):
        if level == 1:
            return ""
        plain = html.unescape(re.sub(r"<svg.*?</svg>|<[^>]*>", "", text))
        name = re.sub(r"\W+", "-", plain.lower()).strip("-") or "section"
        taken = {known["id"] for known in self._markup.headings} | RESERVED
        number = 2
        base = name
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        self._markup.headings.append({"level": level, "id": name, "html": text})
        return f'<h{level} id="{name}">{text}</h{level}>\n'

    def link(self, text, url, title=None):
        """A link within the workbook, or the address in full: pages open offline."""
        _, separator, address = url.partition("://")
        if not separator:
            return super().link(text, url, title)
        shown = html.escape(address.rstrip("/"))
        if re.sub(r"^\w+://", "", html.unescape(text)).rstrip("/") == address.rstrip(
            "/"
        ):
            return f'<span class="address">{shown}</span>'
        return f'{text} <span class="address">({shown})</span>'

    def image(self, text, url, title=None):
        name = url.removeprefix("attachment:")
        if name != url:
            if name not in self._attachments:
                raise ValueError(f"attachment {name!r} of a Markdown cell is missing")
            kind, content = next(iter(sorted(self._attachments[name].items())))
            url = f"data:{kind};base64,{content.strip()}"
        alt = html.escape(html.unescape(re.sub("<[^>]*>", "", text)))
        return f'<img alt="{alt}" src="{html.escape(url)}">'

    def table(self, text):
        return scrollable(f"<table>{text}</table>")

    def block_math(self, text):
        return f"<p>{self._markup.tex(text, display=True)}</p>\n"

    def display_math(self, text):
        return self._markup.tex(text, display=True)

    def inline_math(self, text):
        return self._markup.tex(text, display=False)


def _import_ziamath():
    """ziamath 0.13 still opens its font by a deprecated function of importlib."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import ziamath
    return ziamath


def scrollable(table):
    """A table that scrolls sideways within the page, by keyboard too."""
    return (
        '<div class="scroll" role="region" aria-label="Table" tabindex="0">'
        f"{table}</div>"
    )


def _math(markdown):
    """A mistune plugin: TeX between dollars, where code spans and fences come first."""

    def block(parser, match, state):
        tex = match.groupdict().get("block_tex") or match.groupdict().get("env_tex")
        state.append_token({"type": "block_math", "raw": tex})
        return match.end() + 1

    def inline(kind):
        def parse(parser, match, state):
            state.append_token({"type": f"{kind}_math", "raw": match[f"{kind}_tex"]})
            return match.end()

        return parse

    markdown.block.register("block_math", _BLOCK_MATH, block, before="list")
    markdown.block.register("tex_environment", _ENVIRONMENT, block, before="list")
    for kind, pattern in (("display", _DISPLAY_MATH), ("inline", _INLINE_MATH)):
        markdown.inline.register(f"{kind}_math", pattern, inline(kind), before="link")
