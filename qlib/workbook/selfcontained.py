"""What a page must not hold: scripts, outside addresses, images that do not speak."""

import re
from html.parser import HTMLParser

FORBIDDEN = {
    "script", "iframe", "frame", "object", "embed", "applet", "base", "link", "form",
    "audio", "video", "source", "track",
}  # fmt: skip
ADDRESSES = {"src", "href", "srcset", "action", "formaction", "poster", "data", "ping"}


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


class _Check(HTMLParser):
    def __init__(self):
        super().__init__()
        self._ids = set()
        self._style = False

    def handle_starttag(self, tag, attributes):
        where = f"<{tag}>"
        if tag in FORBIDDEN or (tag == "meta" and dict(attributes).get("http-equiv")):
            raise ValueError(f"{where} would load or send something")
        self._style = tag == "style"
        for name, value in attributes:
            value = value or ""
            if name.startswith("on"):
                raise ValueError(f"{where} has a script in {name}")
            if name.rpartition(":")[2] in ADDRESSES and not _inside(tag, value):
                raise ValueError(f"{where} refers to {value[:80]!r} outside the page")
            if name == "style":
                self._check_style(value, where)
            if name == "id":
                if value in self._ids:
                    raise ValueError(f"{where} repeats the id {value!r}")
                self._ids.add(value)
        if tag == "img" and not (dict(attributes).get("alt") or "").strip():
            raise ValueError(f"{where} has no alternative text")

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        if self._style:
            self._check_style(data, "<style>")

    def handle_endtag(self, tag):
        self._style = False

    @staticmethod
    def _check_style(style, where):
        outside = re.search(r"(?i)@import|url\((?!\s*['\"]?(?:data:|#))[^)]*", style)
        if outside:
            raise ValueError(f"{where} loads {outside[0][:80]!r}")


def _inside(tag, address):
    if address.startswith("#"):
        return True
    if tag == "a":  # another page of the reports
        return re.fullmatch(r"[\w.-]+\.html(#.*)?", address) is not None
    return address.startswith("data:image/")
