"""Nothing that others write is kept without bound: each cache of the product is listed here."""

from __future__ import annotations

import ast
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobfleet_contracts.credentials import masked
from jobfleet_contracts.secret_names import is_secret_name, role_of
from jobfleet_contracts.short_text_cache import LONGEST_KEPT, keep_for_short_texts

ROOT = Path(__file__).parents[2]
SHORT = "short texts"
CACHES = {
    "backends/postgres/schema.py:in_schema": "statements of the code, and one schema",
    "backends/sqlite/trail_insert.py:_with_rows": "statements of the code, powers of two to 64",
    "contracts/changed.py:_parts": "classes of the code",
    "contracts/codec.py:format_time": "times: all of one size",
    "contracts/look_alikes.py:_looks_alike": "no argument",
    "contracts/look_alikes.py:_plain_signs": "no argument",
    "contracts/row_test.py:_pattern": SHORT,
    "contracts/secret_names.py:is_secret_name": SHORT,
    "contracts/secret_names.py:role_of": SHORT,
    "contracts/worker_status.py:_adapter": "no argument",
    "protocol/moving/event_form.py:_check_facts": "64 jobs of the file that one command reads",
    "publisher/django.py:_publisher": "no argument",
    "worker/handlers/described_error.py:_is_foreign": SHORT,
    "worker/handlers/signature.py:_runs_code": "types of the payloads of handlers",
}
"""What bounds the keys of each cache. Texts that others write need ``keep_for_short_texts``."""
KEEPERS = {
    "cli/lazy_group.py:import_module": "names of commands",
    "cli/logging.py:getLogger": "names of libraries",
    "cli/logging.py:get_logger": "names of libraries",
    "contracts/payload_codec.py:import_module": "a setting",
    "worker/handlers/registry.py:import_module": "a setting",
    "worker/processes/process_state.py:getLogger": "the root logger",
}
"""Functions of libraries that keep what they are given, unknown names too."""
_CACHES = frozenset({"cache", "lru_cache", "keep_for_short_texts"})
_KEEPERS = frozenset({"lookup", "import_module", "getLogger", "get_logger", "intern", "warn"})


def _name(node: ast.expr) -> str:
    match node:
        case ast.Call():
            return _name(node.func)
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
        case _:
            return ""


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for top in ("services", "shared"):
        for path in sorted((ROOT / top).rglob("*.py")):
            place = path.relative_to(ROOT).parts
            if place[2].startswith("jobfleet_"):
                short = "/".join((place[2].removeprefix("jobfleet_"), *place[3:]))
                yield short, ast.parse(path.read_text(encoding="utf-8"))


def _caches() -> Iterator[tuple[str, str]]:
    """Yield each cached function and what caches it."""
    for module, tree in _modules():
        decorated = set[ast.expr]()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for each in node.decorator_list:
                    if _name(each) in _CACHES:
                        decorated.add(each)
                        yield f"{module}:{node.name}", _name(each)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node) in _CACHES and node not in decorated:
                yield f"{module}:{node.lineno}", _name(node)


def test_each_cache_is_listed_with_what_bounds_its_keys() -> None:
    found = {place: kind for place, kind in _caches() if "short_text_cache.py" not in place}
    assert found.keys() == CACHES.keys()
    for place, kind in found.items():
        assert (kind == "keep_for_short_texts") == (CACHES[place] == SHORT), place


def test_what_libraries_keep_for_ever_is_named_by_the_code() -> None:
    found = {
        f"{module}:{_name(node)}"
        for module, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _name(node) in _KEEPERS and node.args
    }
    assert found - KEEPERS.keys() == set()


def test_a_long_text_is_answered_and_not_kept() -> None:
    asked = list[str]()

    @keep_for_short_texts(2)
    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    for text in ("a" * LONGEST_KEPT, "a" * (LONGEST_KEPT + 1)):
        assert [length(text), length(text)] == [len(text)] * 2
    assert [len(text) for text in asked] == [LONGEST_KEPT, LONGEST_KEPT + 1, LONGEST_KEPT + 1]


@pytest.mark.parametrize("sign", ["a", "\U0001f600"])
def test_names_of_members_of_a_megabyte_leave_nothing_in_memory(sign: str) -> None:
    masked({"key" + sign: 1})
    tracemalloc.start()
    try:
        for number in range(5):
            name = f"key{sign}{'a' * 100_000}{number}"
            assert role_of(name) is not None
            assert is_secret_name(name)
            assert masked({name: "hunter22"}) == {name: "***"}
        del name
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000, kept
