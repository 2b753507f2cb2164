"""Names say what a value holds: some words that say only where it came from are no names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FOLDERS = ("services", "shared", "client", "tests", "devtools", "examples")
_BANNED = frozenset(
    {"said", "told", "errand", "mailbox", "weather", "crew", "mischief", "surroundings", "tenant"}
)
_WORDS = re.compile(rf"\b_?({'|'.join(sorted(_BANNED))})\b")


def test_no_value_is_named_by_a_word_that_does_not_say_what_it_holds() -> None:
    modules = [path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 1000
    assert [
        f"{path.relative_to(ROOT)}: {name}" for path in modules for name in _names(path.read_text())
    ] == []


def test_a_parameter_a_variable_an_attribute_and_a_function_are_found() -> None:
    assert list(_names("def f(told):\n    said = told.mailbox\ndef _told(): ...")) == [
        "line 1: told",
        "line 2: said",
        "line 2: mailbox",
        "line 3: _told",
    ]


def _names(text: str) -> Iterator[str]:
    if _WORDS.search(text) is None:
        return
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.arg(arg=name) | ast.Attribute(attr=name) | ast.FunctionDef(name=name):
                found.append((node.lineno, name))
            case ast.AsyncFunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                found.append((node.lineno, name))
    for line, name in sorted(found, key=lambda each: each[0]):
        if name.removeprefix("_") in _BANNED:
            yield f"line {line}: {name}"
