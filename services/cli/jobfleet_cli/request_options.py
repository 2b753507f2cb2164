"""Options that say what a job is, as ``publish`` and ``schedules add`` take them."""

from __future__ import annotations

from typing import Annotated

import typer

Payload = Annotated[str | None, typer.Option(metavar="JSON|@FILE|-", help="The handler's input.")]
Name = Annotated[str | None, typer.Option("--name", help="Display name; default: the type.")]
Description = Annotated[str | None, typer.Option(help="Up to 2,000 characters.")]
Priority = Annotated[int | None, typer.Option(help="0 to 9, higher first; default 5.")]
Queue = Annotated[str | None, typer.Option(help="Default: default.")]
LockKey = Annotated[
    str | None,
    typer.Option(
        help="jobfleet starts one job of a key at a time. After a pause a handler that is being "
        "stopped may still overlap the next one."
    ),
]
LockSlots = Annotated[
    int | None, typer.Option(help="How many jobs of the key may run at once; default 1.")
]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", help="A named limit that must have a slot; up to three."),
]
MaxAttempts = Annotated[int | None, typer.Option(help="How many attempts, the first included.")]
OnLost = Annotated[str | None, typer.Option(help="If its worker is lost: retry (default) or fail.")]
MaxTakeovers = Annotated[
    int | None, typer.Option(help="How many lost workers in a row it survives; default 5.")
]
Timeout = Annotated[float | None, typer.Option(metavar="S", help="Time limit of one attempt.")]
