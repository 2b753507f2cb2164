"""A test that sleeps says why time itself is its subject; every other test polls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
_SLEEPS = ("asyncio.sleep", "time.sleep")
_LOOPS = (ast.While, ast.For, ast.AsyncFor)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_each_sleep_outside_a_polling_loop_carries_its_reason() -> None:
    modules = sorted(TESTS.rglob("test_*.py"))
    assert len(modules) > 300
    assert [place for path in modules for place in sleeps_without_reason(path.read_text())] == []


def test_a_bare_sleep_is_found_and_one_with_a_reason_or_in_a_loop_is_not() -> None:
    body = "    await asyncio.sleep(1)\n"
    begin = "async def test_it() -> None:\n"
    assert list(sleeps_without_reason(begin + body)) == ["test_it, line 2: await asyncio.sleep(1)"]
    assert list(sleeps_without_reason(begin + body.replace("\n", "  # the lease ends\n"))) == []
    assert list(sleeps_without_reason(begin + "    # The lease ends.\n" + body)) == []
    assert list(sleeps_without_reason(begin + "    while True:\n    " + body)) == []
    assert list(sleeps_without_reason('@handler("a")\n' + begin + body)) == []


def sleeps_without_reason(text: str) -> Iterator[str]:
    """Yield the sleeps of a module's functions that have no comment, on their line or above it.

    Handlers, methods and functions within tests are left out: they are the work that takes time.
    """
    lines = text.splitlines()
    for function in ast.parse(text).body:
        if not isinstance(function, _FUNCTIONS) or _is_handler(function):
            continue
        for line in _sleeps(function):
            if "#" not in lines[line - 1] and not lines[line - 2].lstrip().startswith("#"):
                yield f"{function.name}, line {line}: {lines[line - 1].strip()}"


def _is_handler(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(each).startswith("handler") for each in function.decorator_list)


def _sleeps(node: ast.AST) -> Iterator[int]:
    """Yield the lines of the sleeps that are not within a loop or a function of their own."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Await(value=ast.Call(func=called, args=[ast.Constant(value=0)])) if (
                ast.unparse(called) == "asyncio.sleep"
            ):
                continue  # gives way to other tasks, and takes no time
            case ast.Call(func=called) if ast.unparse(called) in _SLEEPS:
                yield child.lineno
        if not isinstance(child, (*_LOOPS, *_FUNCTIONS, ast.Lambda)):
            yield from _sleeps(child)
