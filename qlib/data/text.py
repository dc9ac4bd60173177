"""Text by name, as bytes, from where it lies; test text that training text lacks."""

import hashlib
import platform
from dataclasses import dataclass
from pydoc_data.topics import topics

import numpy as np

from qlib.arguments import one_of
from qlib.data import archives

_SHA256 = {
    "wiki.valid.tokens": (
        "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8"
    ),
    "wiki.test.tokens": (
        "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0"
    ),
}
_FOLDER = "wikitext"
_HELD_OUT = 5  # one topic of so many is test text


@dataclass(frozen=True, eq=False)
class Text:
    """Training and test text as UTF-8 bytes.

    Attributes
    ----------
    name : str
        What `load_text` calls it.
    source : str
        What a report must call it.
    train, test : (bytes,) uint8 arrays
    """

    name: str
    source: str
    train: np.ndarray
    test: np.ndarray


def load_text(name, *, root=None):
    """Text by name; nothing is fetched.

    Parameters
    ----------
    name : {"wikitext-2", "python-docs"}
        "wikitext-2" is read from ``wikitext/wiki.valid.tokens``, to train on, and
        ``wikitext/wiki.test.tokens``, to test on, of Merity et al. (2016); the training
        split is used by neither. "python-docs" is the reference that Python carries
        for its ``help``: every fifth topic by name is test text, and a paragraph that
        stands there is struck from the training text, in which none stands twice.
    root : path or None
        The only folder to look in; None for those of `qlib.data.archives.folders`.

    Returns
    -------
    Text

    Raises
    ------
    FileNotFoundError
        If no folder has the files; the message ends in the command that fetches them.
    ValueError
        For an unknown name, a folder that does not exist, and a file whose SHA-256 is
        not that of the published text.

    References
    ----------
    Merity, Xiong, Bradbury and Socher (2016), arXiv 1609.07843.
    """
    one_of("name", name, ("wikitext-2", "python-docs"))
    return _wikitext(root) if name == "wikitext-2" else _python_docs()


def characters(text):
    """Characters in UTF-8 bytes, those cut off at the start not counted.

    Parameters
    ----------
    text : (..., bytes) uint8 array

    Returns
    -------
    (...) int64 array
        Bytes that begin a character: all but 0b10xxxxxx. Nats over these and ln 2 are
        bits per character, which do not depend on how many bytes a character takes.
    """
    return np.count_nonzero(np.asarray(text) & 0xC0 != 0x80, axis=-1)


def _wikitext(root):
    places = [place / _FOLDER for place in archives.folders(root)]
    to = (archives.DOWNLOADS / _FOLDER if root is None else places[0]).resolve()
    remedy = (
        f"Fetch it: git clone https://github.com/pytorch/examples && mkdir -p {to} && "
        "cd examples/word_language_model/data/wikitext-2 && "
        f"cp valid.txt {to}/wiki.valid.tokens && cp test.txt {to}/wiki.test.tokens"
    )
    parts = [_checked(archives.locate(f, places, remedy)) for f in _SHA256]
    source = "WikiText-2 validation text (trained on), test text (tested on)"
    return Text("wikitext-2", source, *parts)


def _checked(path):
    content = path.read_bytes()
    found, allowed = hashlib.sha256(content).hexdigest(), _SHA256[path.name]
    if found != allowed:
        fault = f"truncated or changed: SHA-256 {found}; allowed: {allowed}"
        archives.refuse(path, fault, archives.DOWNLOADS / _FOLDER)
    return np.frombuffer(content, dtype=np.uint8)


def _python_docs():
    names = sorted(topics)
    held = names[::_HELD_OUT]
    test = [part for name in held for part in topics[name].split("\n\n")]
    known = {_words(part) for part in test}
    train = []
    for part in (p for n in names if n not in held for p in topics[n].split("\n\n")):
        words = _words(part)
        if words not in known:
            known.add(words)
            train.append(part)
    version = ".".join(platform.python_version_tuple()[:2])
    source = f"reference of Python {version} (pydoc_data), every fifth topic tested on"
    return Text("python-docs", source, _bytes(train), _bytes(test))


def _words(paragraph):
    return " ".join(paragraph.split())


def _bytes(paragraphs):
    return np.frombuffer("\n\n".join(paragraphs).encode(), dtype=np.uint8)
