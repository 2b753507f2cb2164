"""Code and docs use the terms of docs/glossary.md, and promise no more than docs/protocol.md."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPLACED = {
    r"doorbell|\bringer\b|\brung\b": "notify, notification, wake signal",
    r"\bghosts?\b": "orphaned row",
    r"never run at the same time": "jobfleet starts one job of a key at a time (a pause can make "
    "handlers overlap)",
    r"cursor:? is none of": "not one that this list returned (`foreign_cursor`)",
    r"\bshall\b": "must, will or is to",
    r"(lies?|put|kept|keeps?) apart\b": "stored separately, or dead-lettered",
    r'(?<!")\bsomebody\b|\bwhoever\b': "who acts: the worker, the caller, the operator, the reader",
    r'(\. |""")Of (the|a|an|its|what|those|all|every|each|two|one) ': "the subject first",
}


def texts() -> Iterator[tuple[str, str]]:
    """Yield place and text of everything that users and engineers read."""
    for folder in ("shared", "services", "docs", "examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".md", ".html", ".json") and "__pycache__" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text()
    for name in ("README.md", "CHANGELOG.md"):
        yield name, (ROOT / name).read_text()


@pytest.mark.parametrize(("word", "instead"), REPLACED.items())
def test_no_text_uses_a_word_that_was_replaced(word: str, instead: str) -> None:
    pattern = re.compile(word, re.IGNORECASE)
    found = [place for place, text in texts() if pattern.search(" ".join(text.split()))]
    assert found == [], f"use: {instead}"


def test_the_name_of_callers_without_a_name_stands_in_one_place() -> None:
    found = [place for place, text in texts() if place.endswith(".py") and '"somebody"' in text]
    assert found == ["shared/contracts/jobfleet_contracts/event.py"]
