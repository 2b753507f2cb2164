"""One job queue in the contest: how jobs get in, and which processes work them off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

Submit = Callable[[int], None]
Check = Callable[[int], None]


def _no_check(_jobs: int) -> None:
    """Believe it."""


def _nothing() -> None:
    """Leave all as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A queue on storage of its own, used once.

    Attributes:
        name: for the report.
        folder: for its files; empty.
        submit: puts that many no-op jobs into the queue, from this process.
        commands: one worker each.
        environment: of the workers.
        check: raises where not all of that many jobs were done as promised.
        close: ends what was started for it.
        limit: name of the contestant that sends the same requests and does nothing else.
        takes_jobs: whether jobs can be sent to its idle workers.
        sender: opens what submits single jobs, one a call, as a program that stays does; ``None``:
            ``submit`` needs nothing to be opened.
        server: process of the server that only this contestant uses; its children count too.
    """

    name: str
    folder: Path
    submit: Submit
    commands: Sequence[Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    check: Check = _no_check
    close: Callable[[], None] = _nothing
    limit: str | None = None
    takes_jobs: bool = True
    sender: Callable[[], AbstractContextManager[Callable[[], object]]] | None = None
    server: int | None = None

    @contextmanager
    def opened(self) -> Iterator[Callable[[], object]]:
        """Yield what submits one job."""
        if self.sender is None:
            yield lambda: self.submit(1)
            return
        with self.sender() as send:
            yield send


Entry = Callable[[Path], Contestant]
"""Makes a contestant on fresh storage in a folder."""
