"""The phrases that docs/style.md calls always wrong do not occur in the project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from source_tree import FILES, FOLDERS, ROOT, files_of

GUIDE = ROOT / "docs" / "style.md"
ENDINGS = {".md", ".py", ".hpp", ".cpp", ".h", ".c", ".rs", ".json", ".toml"}
QUOTED = {"docs/style.md", "tests/test_style.py"}
"""Files that name the phrases themselves."""


def phrases() -> dict[str, str]:
    """Each phrase of the guide's table, and what to write instead."""
    table = GUIDE.read_text(encoding="utf-8").partition("## Always wrong")[2]
    rows = re.findall(r"^\| (`.*?) \| .* \| (.*?) \|$", table, re.MULTILINE)
    return {phrase: instead for cell, instead in rows for phrase in re.findall(r"`([^`]+)`", cell)}


def prose(text: str) -> str:
    """The text on one line: without the marks of comments, and with string literals joined that follow one another."""
    text = re.sub(r"\n[ \t]*(?:///?|#|\*)?[ \t]*", " ", text)
    return re.sub(r'(?<!\\)"\s+[rbf]*"', "", text)


def found(text: str) -> list[str]:
    """The phrases in a text, each with the words around it."""
    line = prose(text)
    return [
        f"'{line[max(0, hit.start() - 30) : hit.end() + 30]}': write {instead}"
        for phrase, instead in PHRASES.items()
        for hit in re.finditer(rf"(?<![\w-])(?:{phrase[0]}|{phrase[0].upper()}){re.escape(phrase[1:])}(?![\w-])", line)
    ]


PHRASES = phrases()


def test_the_guide_has_phrases() -> None:
    assert len(PHRASES) > 30
    assert "tied with" in PHRASES["no telling"]


@pytest.mark.parametrize("folder", [*FOLDERS, ""])
def test_no_file_has_a_phrase_that_is_always_wrong(folder: str) -> None:
    names = files_of(ROOT / folder) if folder else {name for name in FILES if (ROOT / name).exists()}
    paths = [Path(folder, name) for name in sorted(names) if Path(name).suffix in ENDINGS]
    assert paths
    wrong = {
        str(path): hits
        for path in paths
        if path.as_posix() not in QUOTED and (hits := found((ROOT / path).read_text(encoding="utf-8")))
    }
    assert not wrong


@pytest.mark.parametrize(
    "text",
    [
        "There is no telling.",
        "# There is\n    # no telling here.",
        "// No\n// telling.",
        '"there is no "\n    f"telling {a}"',
        "Bytes a slot: 5",
    ],
)
def test_a_phrase_is_found_wherever_it_is_broken(text: str) -> None:
    assert len(found(text)) == 1


def test_words_that_only_contain_a_phrase_are_not_meant() -> None:
    assert not found("janew tells-of untold often; kilobytes a slotted")
