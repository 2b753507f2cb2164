"""Job requests from options and files, checked before the first one is submitted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from jobfleet_cli.option_names import named_by_options
from jobfleet_contracts.codec import decode
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import JobRequest

STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of ``publish`` for one kind of job; ``None`` if it was not."""

    type: str | None = None
    payload: str | None = None
    job_name: str | None = None
    description: str | None = None
    priority: int | None = None
    queue: str | None = None
    lock_key: str | None = None
    lock_slots: int | None = None
    limits: list[str] | None = None
    delay: float | None = None
    run_at: str | None = None
    max_attempts: int | None = None
    on_lost: str | None = None
    max_takeovers: int | None = None
    timeout_seconds: float | None = None
    idempotency_key: str | None = None
    then: str | None = None

    @property
    def empty(self) -> bool:
        """Whether no option was given."""
        return all(value is None for value in astuple(self))


_REQUEST_FIELDS = (
    "type",
    "job_name",
    "description",
    "priority",
    "queue",
    "lock_key",
    "lock_slots",
    "limits",
    "run_at",
    "max_attempts",
    "on_lost",
    "max_takeovers",
    "timeout_seconds",
)


def jobs_from_options(options: JobOptions, count: int) -> list[JobRequest]:
    """Return ``count`` requests that differ in their job id only.

    Raises:
        InvalidRequest: names the option that is missing or does not fit.
    """
    if options.type is None:
        raise InvalidRequest("--type is needed: which handler runs the job", field="type")
    if count > 1 and options.idempotency_key is not None:
        raise InvalidRequest(
            "--idempotency-key names one job; leave it or --count out", field="idempotencyKey"
        )
    fields = {to_camel(name): getattr(options, name) for name in _REQUEST_FIELDS}
    if options.delay is not None and options.run_at is not None:
        raise InvalidRequest("give either --delay or --run-at", field="delay")
    fields = {name: value for name, value in fields.items() if value is not None}
    if options.payload is not None:
        fields["payload"] = read_payload(options.payload)
    if options.then is not None:
        fields["then"] = read_payload(options.then, option="--then")
    delay, now = options.delay or 0, datetime.now(UTC)
    with named_by_options():
        return [JobRequest.parse(fields).starting_in(delay, now=now) for _ in range(count)]


def jobs_from_file(name: str, options: JobOptions, count: int = 1) -> list[JobRequest]:
    """Return the requests of a file of JSON lines, ``-`` for standard input.

    Raises:
        InvalidRequest: names the line and the field; or an option was given beside the file.
    """
    if not options.empty or count > 1:
        raise InvalidRequest("--file holds whole job requests; leave the other options out")
    jobs = [_checked(number, line) for number, line in _lines(name)]
    if not jobs:
        raise InvalidRequest(f"--file: {name} holds no job request", field="file")
    return jobs


def _lines(name: str) -> Iterator[tuple[int, bytes]]:
    body = sys.stdin.buffer.read() if name == STDIN else _read(name, option="--file")
    for number, line in enumerate(body.splitlines(), start=1):
        if line.strip():
            yield number, line


def _checked(number: int, line: bytes) -> JobRequest:
    try:
        return JobRequest.parse(decode(line))
    except InvalidRequest as error:
        raise InvalidRequest(f"line {number}: {error}", field=error.field) from error


def read_payload(text: str, *, option: str = "--payload") -> Any:
    """Return the value of an option: JSON, ``@FILE``, or ``-`` for standard input.

    Raises:
        InvalidRequest: it is not JSON, or the file cannot be read.
    """
    if text == STDIN:
        body: bytes | str = sys.stdin.buffer.read()
    elif text.startswith("@"):
        body = _read(text[1:], option=option)
    else:
        body = text
    try:
        return decode(body)
    except InvalidRequest as error:
        raise InvalidRequest(f"{option} is {error}", field=option.removeprefix("--")) from error


def _read(name: str, *, option: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"{option}: {name} cannot be read: {error.strerror}", field=option.removeprefix("--")
        ) from error
