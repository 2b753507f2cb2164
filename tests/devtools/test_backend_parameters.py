"""Only what wires a service takes the whole backend. All else takes the ports that it uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
ADAPTERS = {"azure", "postgres", "rabbitmq", "sql", "sqlite"}
"""Folders of ``shared/backends`` that build backends."""
ROOTS = {
    "jobfleet_worker/worker.py: Worker.__init__",
    "jobfleet_worker/wiring.py: WorkerSetup",
    "jobfleet_worker/wiring.py: WorkerSetup.of",
    "jobfleet_dashboard/app.py: create_app",
    "jobfleet_dashboard/services.py: Services",
    "jobfleet_dashboard/services.py: Services.wire",
    "jobfleet_publisher/publisher.py: _Open",
    "jobfleet_publisher/publisher.py: Publisher.__init__",
    "jobfleet_publisher/publisher.py: Publisher._take",
    "jobfleet_cli/session.py: Session",
    "jobfleet_protocol/actions/write_side.py: WriteSide.wire",
    "jobfleet_protocol/actions/write_side.py: _Builder.__init__",
}
"""They wire a service, or hold what it was wired from."""
WRAPPERS = {
    "jobfleet_backends/open_backend.py: with_coder",
    "jobfleet_cli/patience.py: patient",
}
"""They return the backend with other ports."""


def test_only_what_wires_a_service_takes_the_whole_backend() -> None:
    found = {
        f"{path.relative_to(folder).as_posix()}: {place}"
        for folder in _folders()
        for path in folder.rglob("*.py")
        if not ADAPTERS & set(path.relative_to(folder).parts)
        for place in _places(path.read_text())
    }
    assert found == ROOTS | WRAPPERS


def test_parameters_and_fields_are_found_however_the_backend_is_written() -> None:
    text = """
class Reader:
    def __init__(self, *, backend: Backend) -> None: ...
class Held:
    backend: Backend | None
def plain(one, /, backend: "Backend"): ...
async def behind(*backends: contracts.Backend):
    def inner(make: Callable[[Backend], None]): ...
def named(backend: FakeBackend, probe: Callable[[], None]) -> Backend: ...
"""
    assert list(_places(text)) == ["Reader.__init__", "Held", "plain", "behind", "behind.inner"]


def _folders() -> list[Path]:
    return [each for area in ("services", "shared") for each in (ROOT / area).iterdir()]


def _places(text: str) -> Iterator[str]:
    if "Backend" in text:
        yield from _inside(ast.parse(text), "")


def _inside(node: ast.AST, outer: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef(name=name, body=body):
                fields = [each.annotation for each in body if isinstance(each, ast.AnnAssign)]
                yield from _found(outer + name, fields)
                yield from _inside(child, f"{outer}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                arguments = [each for each in ast.walk(child.args) if isinstance(each, ast.arg)]
                yield from _found(outer + name, [each.annotation for each in arguments])
                yield from _inside(child, f"{outer}{name}.")
            case _:
                yield from _inside(child, outer)


def _found(place: str, annotations: Sequence[ast.expr | None]) -> Iterator[str]:
    if any(each is not None and _names_backend(each) for each in annotations):
        yield place


def _names_backend(annotation: ast.expr) -> bool:
    for node in ast.walk(annotation):
        match node:
            case ast.Name(id="Backend") | ast.Attribute(attr="Backend"):
                return True
            case ast.Constant(value=str(text)) if "Backend" in text:
                return _names_backend(ast.parse(text, mode="eval").body)
    return False
