"""What a page must not hold: scripts, outside addresses, images that do not speak."""

import re
from html.parser import HTMLParser

FORBIDDEN = {
    "script", "iframe", "frame", "object", "embed", "applet", "base", "link", "form",
    "audio", "video", "source", "track",
}  # fmt: skip
ADDRESSES = {
    "src", "href", "srcset", "action", "formaction", "poster", "data", "ping",
    "background",
}  # fmt: skip
SPOKEN = {"alt", "aria-label", "title"}  # texts, which load nothing
VOID = {
    "area", "br", "col", "hr", "img", "input", "meta", "wbr",
}  # fmt: skip


def check_page(page):
    """Refuse HTML that is not self-contained or not readable without sight.

    Raises
    ------
    ValueError
        Naming the first element or attribute at fault: a script or another element that
        loads something, an event handler, an address outside the page (only ``data:``,
        ``#anchor`` and a sibling page may be referred to), an image without alternative
        text, an id used twice.
    """
    _Check().feed(page)


def check_fragment(fragment):
    """Refuse HTML that would swallow or close what stands around it.

    Raises
    ------
    ValueError
        Naming the first element that is closed but not open, or left open.
    """
    _Balance().check(fragment)


class _Balance(HTMLParser):
    def check(self, fragment):
        self._open, self._last = [], None
        self.feed(f"{fragment}<wbr>")
        if self._open:
            raise ValueError(f"<{self._open[-1]}> is not closed")
        if self._last != "wbr":
            raise ValueError("a comment, tag or quotation mark is not closed")

    def handle_starttag(self, tag, attributes):
        if tag == "plaintext":
            raise ValueError("<plaintext> would swallow the page")
        self._last = tag
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        if "svg" not in self._open and tag != "svg":  # HTML ignores the slash
            self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self._open or self._open.pop() != tag:
            raise ValueError(f"</{tag}> closes no open element")


class _Check(HTMLParser):
    def __init__(self):
        super().__init__()
        self._ids = set()
        self._style = False

    def handle_starttag(self, tag, attributes):
        where = f"<{tag}>"
        values = dict(attributes)
        policy = (values.get("http-equiv") or "content-security-policy").lower()
        moved = (values.get("attributename") or "").lower().rpartition(":")[2]
        if tag in FORBIDDEN or policy != "content-security-policy" or moved == "href":
            raise ValueError(f"{where} would load or send something")
        self._style = tag == "style"
        for name, value in attributes:
            value = value or ""
            if name.startswith("on"):
                raise ValueError(f"{where} has a script in {name}")
            if name.rpartition(":")[2] in ADDRESSES and not _inside(tag, value):
                raise ValueError(f"{where} refers to {value[:80]!r} outside the page")
            if name not in SPOKEN:
                self._check_style(value, where)
            if name == "id":
                if value in self._ids:
                    raise ValueError(f"{where} repeats the id {value!r}")
                self._ids.add(value)
        if tag == "img" and not (values.get("alt") or "").strip():
            raise ValueError(f"{where} has no alternative text")

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        if self._style:
            self._check_style(data, "<style>")

    def handle_endtag(self, tag):
        self._style = False

    @staticmethod
    def _check_style(style, where):
        outside = re.search(
            r"(?i)@import|image-set\(|url\((?!\s*['\"]?(?:data:|#))[^)]*", style
        )
        if outside:
            raise ValueError(f"{where} loads {outside[0][:80]!r}")


def _inside(tag, address):
    if address.startswith("#"):
        return True
    if tag == "a":  # another page of the reports
        return re.fullmatch(r"[\w.-]+\.html(#.*)?", address) is not None
    return re.fullmatch(r"data:image/\S*(\s+[\d.]+[wx])?", address) is not None
