"""Handlers in processes, and hooks that stand around them; each writes what it does to a file."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from jobfleet_worker import Run, around_attempt, handler, on_shutdown, on_startup, provide


class Register:
    """Notes of one process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


class Session:
    """Open during one attempt."""

    def __init__(self, register: Register) -> None:
        self.register = register


def own_register() -> Register:
    return Register(Path(os.environ["HOOKED_NOTES"]))


def is_child() -> bool:
    return os.environ["HOOKED_WORKER"] != str(os.getpid())


@on_startup
async def begin() -> None:
    if is_child():
        own_register().note("startup")


@on_shutdown
def end() -> None:
    if is_child():
        own_register().note("shutdown")


@provide(per="worker")
async def register() -> AsyncIterator[Register]:
    found = own_register()
    found.note("register opened")
    yield found
    found.note("register closed")


@provide
def session(register: Register, run: Run) -> Iterator[Session]:
    register.note(f"session of attempt {run.attempt}")
    yield Session(register)
    register.note(f"session {run.outcome}")


@around_attempt
async def watched(run: Run) -> AsyncIterator[None]:
    own_register().note("around")
    yield
    own_register().note(f"around {run.outcome}")


@handler("hooked.process", run_in="process")
def count(payload: int, session: Session) -> int:
    session.register.note("handler")
    return payload + 1
