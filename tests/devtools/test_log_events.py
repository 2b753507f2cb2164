"""Log events are constants, so that a search for a name finds each place that writes it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})


def test_no_log_event_is_written_as_text_in_a_call() -> None:
    modules = [path for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py")]
    assert len(modules) > 100
    assert [place for path in modules for place in _inline_events(path)] == []


def _inline_events(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="_log"), attr=level),
                args=[ast.Constant() | ast.JoinedStr(), *_],
            ) if level in _LEVELS:
                yield f"{path.relative_to(ROOT)}:{node.lineno}"
