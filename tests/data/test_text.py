"""Text is what was published, test text is not in training text, bytes are counted."""

import hashlib
from pydoc_data.topics import topics

import numpy as np
import pytest

from qlib.data import archives, characters, load_text, text

CONTENT = {
    "wiki.valid.tokens": " = A – title = \n".encode(),
    "wiki.test.tokens": b" other text \n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two small files in the published layout, whose digests are allowed."""
    (tmp_path / "wikitext").mkdir()
    digests = {}
    for name, content in CONTENT.items():
        (tmp_path / "wikitext" / name).write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(text, "_SHA256", digests)
    return tmp_path


def test_characters_do_not_depend_on_the_bytes_they_take():
    words = "naïve – 量子 🙂"
    many = np.frombuffer(words.encode(), dtype=np.uint8)
    assert characters(many) == len(words) < many.size
    cut = many[3:]  # the second byte of ï is left, of a character that began before
    assert characters(cut) == len(words) - 3
    assert characters(np.zeros(0, np.uint8)) == 0
    rows = np.frombuffer("aé–b".encode() + b"abcdefg", np.uint8).reshape(2, 7)
    assert characters(rows).tolist() == [4, 7]


def test_python_docs_are_text_of_two_splits_that_share_no_paragraph():
    found = load_text("python-docs")
    train, test = (bytes(part).decode() for part in (found.train, found.test))
    assert found.train.dtype == found.test.dtype == np.uint8
    assert 4 * len(test) < len(train) < 12 * len(test)
    paragraphs = [
        [" ".join(p.split()) for p in part.split("\n\n")] for part in (train, test)
    ]
    assert not set(paragraphs[0]) & set(paragraphs[1])
    assert len(set(paragraphs[0])) == len(paragraphs[0])
    first, second = sorted(topics)[:2]
    assert test.startswith(topics[first])
    assert topics[second] not in test
    assert "Python 3." in found.source
    np.testing.assert_array_equal(load_text("python-docs").train, found.train)


def test_wikitext_is_read_byte_by_byte_validation_text_to_train_on(folder):
    found = load_text("wikitext-2", root=folder)
    assert bytes(found.train) == CONTENT["wiki.valid.tokens"]
    assert bytes(found.test) == CONTENT["wiki.test.tokens"]
    assert "validation text (trained on)" in found.source


def test_the_published_text_has_its_published_length():
    try:
        found = load_text("wikitext-2")
    except FileNotFoundError:
        pytest.skip("WikiText-2 is not here")
    for part, tokens in ((found.train, 217_646), (found.test, 245_569)):
        words = bytes(part).decode()
        assert len(words.split()) + words.count("\n") == tokens
        assert characters(part) == len(words) < part.size


@pytest.mark.parametrize("name", CONTENT)
def test_changed_text_is_refused_and_moved_aside_only_among_downloads(
    folder, monkeypatch, name
):
    path = folder / "wikitext" / name
    path.write_bytes(CONTENT[name] + b"x")
    with pytest.raises(ValueError, match=rf"{name}: truncated or changed: SHA-256"):
        load_text("wikitext-2", root=folder)
    assert path.is_file()
    monkeypatch.setattr(archives, "DOWNLOADS", folder)
    with pytest.raises(ValueError, match="Moved to"):
        load_text("wikitext-2", root=folder)
    assert not path.is_file()
    assert (folder / "wikitext" / f"{name}.refused").is_file()


def test_absent_text_is_named_with_the_command_that_fetches_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"wiki\.valid\.tokens.*git clone"):
        load_text("wikitext-2", root=tmp_path)


def test_bad_names_and_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name: got 'wikitext'; allowed: wikitext-2"):
        load_text("wikitext")
    with pytest.raises(ValueError, match="root: got"):
        load_text("wikitext-2", root=tmp_path / "absent")
