"""What several folders of tests share: every notebook run once, and pages as facts."""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
from filelock import FileLock

from qlib.workbook.schemas import import_jsonschema

import_jsonschema()  # before tests import nbformat
ROOT = Path(__file__).parents[1]
NOTEBOOK_RUN = "quick_reports"  # the fixture of all that waits for every notebook


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Let workers share the tests file by file, the longest first."""
    for item in items:
        alone = NOTEBOOK_RUN in item.fixturenames and "browser" not in item.keywords
        name = item.nodeid if alone else item.path
        item.add_marker(pytest.mark.xdist_group(str(name)))
    items.sort(key=lambda item: NOTEBOOK_RUN not in item.fixturenames)


@pytest.fixture(scope="session")
def quick_reports(tmp_path_factory, worker_id):
    """The reports of one quick run of every notebook, made as a user makes them."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    output = shared / "quick"
    command = [sys.executable, "-m", "qlib.workbook", "report", "--output", str(output)]
    with FileLock(shared / "quick.lock"):
        if not (output / "reports" / "index.html").exists():  # written last
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    return output / "reports"


@dataclass
class Page:
    """What a reader, a browser and a search engine meet in an HTML page."""

    title: str = ""
    heading: str = ""
    prose: str = ""  # visible text outside code, printed output and tables of claims
    tags: set = field(default_factory=set)
    addresses: list = field(default_factory=list)
    alternatives: list = field(default_factory=list)
    claims: list = field(default_factory=list)  # (verdict, text)
    raw: str = ""  # the whole page without its images


class _Reader(HTMLParser):
    VOID = ("img", "meta", "input", "br", "hr", "use", "path", "rect", "line")

    def __init__(self):
        super().__init__()
        self.page = Page()
        self.open = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.page.tags.add(tag)
        if tag == "img":
            self.page.alternatives.append(values.get("alt"))
        for name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            if name in values:
                self.page.addresses.append(values[name])
        if tag not in self.VOID:
            self.open.append((tag, (values.get("class") or "").split()))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in (name for name, _ in self.open):
            while self.open.pop()[0] != tag:
                pass

    def handle_data(self, data):
        inside = {name for name, _ in self.open}
        classes = {name for _, names in self.open for name in names}
        if "title" in inside:
            self.page.title += data
        elif "h1" in inside:
            self.page.heading += data
        elif "what" in classes:
            self.page.claims[-1][1] += data
        elif "claims" in classes and "verdict" in classes:
            if data.strip() in ("✕", "○", "✓"):
                self.page.claims.append([None, ""])
            else:
                self.page.claims[-1][0] = data.strip()
        elif not inside & {"style", "script", "code", "pre"}:
            self.page.prose += data


def read_page(path):
    reader = _Reader()
    text = Path(path).read_text(encoding="utf-8")
    reader.feed(text)
    reader.page.raw = re.sub(r"data:image/[^\"]*", "", text)
    return reader.page


@pytest.fixture(scope="session")
def check_page_and_record():
    """A function that asserts what holds for every report, quick or published."""

    def check(path, record):
        page = read_page(path)
        assert page.title == page.heading == record["title"]
        assert "script" not in page.tags
        assert "://" not in page.raw
        for address in page.addresses:
            assert re.match(r"#|data:image/|[\w.-]+\.html(#|$)", address), address[:80]
        assert all(text and text.strip() for text in page.alternatives)
        assert len(page.alternatives) >= len(record["figures"]) > 0
        assert not re.search(r"\\[A-Za-z]+|\$\$|\$[^$\s][^$]*\$", page.prose)
        assert not re.search(r"\bnan\b", page.prose, re.IGNORECASE)
        shown = sorted((verdict, text.strip()) for verdict, text in page.claims)
        stated = [(claim["verdict"], claim["text"]) for claim in record["claims"]]
        assert shown == sorted(stated)
        for place in (str(Path.home()) + "/", str(ROOT), "/tmp/", "site-packages"):
            assert place not in page.raw
        assert f"{record['profile']} profile" in page.prose
        return page

    return check
