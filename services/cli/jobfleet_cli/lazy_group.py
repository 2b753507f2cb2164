"""Commands that are imported when they are called, not when ``jobfleet`` starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

COMMANDS: Mapping[str, str] = {
    "demo": "The whole fleet on this machine with sample jobs; needs no server.",
    "up": "Dashboard and workers on this machine, on the configured backend.",
    "worker": "One worker process.",
    "dashboard": "Dashboard and REST API.",
    "publish": "Submit jobs; on a terminal without options, one random test job per key.",
    "jobs": "List, show, watch, cancel, redrive and dismiss jobs.",
    "events": "What happened in the fleet, in a range of time.",
    "groups": "Submit groups of jobs, and show where they stand.",
    "schedules": "List, declare, pause, resume, run and remove schedules.",
    "workers": "Who works.",
    "queues": "List, pause and resume queues.",
    "types": "List, pause and resume job types.",
    "limits": "List, set and remove named limits.",
    "locks": "Lock keys that jobs hold or wait for.",
    "errors": "What failed, and how often.",
    "audit": "Verify, export and rebuild from the audit trail.",
    "keys": "Make keys for the REST API; show the key that receivers of results need.",
    "mock-third-party": "A third party to try external.call with.",
    "migrate": "Make the tables of the PostgreSQL backend, or raise them to this release.",
    "doctor": "What can be reached and what is allowed, with remedies.",
    "config": "Effective settings.",
}
"""Name and one line of help of each command; its module has the command's name, with _ for -."""


class LazyGroup(TyperGroup):
    """Lists commands from the table above and imports the one that is called."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        for name, line in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=line, callback=None)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the real command in the place of its line of help."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = _load(args[0])
        return super().resolve_command(ctx, args)


def _load(name: str) -> Any:
    command = typer.main.get_command(import_module(f"jobfleet_cli.{name.replace('-', '_')}").app)
    command.name = name
    for each in command.commands.values() if isinstance(command, TyperGroup) else [command]:
        _refuse_repetition(each)
    return command


def _refuse_repetition(command: Any) -> None:
    """Refuse an option of one value that comes twice: its first value would be dropped."""
    parse = command.parse_args

    def parse_args(ctx: Any, args: list[str]) -> Any:
        _, _, order = command.make_parser(ctx).parse_args(args=[*args])
        for option, times in Counter(order).items():
            if times > 1 and isinstance(option, TyperOption) and not _takes_many(option):
                metavar = option.metavar or ""
                list_of = f": {option.opts[0]} {metavar}" if "," in metavar else ""
                ctx.fail(f"{option.opts[0]} is given twice; write one{list_of}")
        return parse(ctx, args)

    command.parse_args = parse_args


def _takes_many(option: TyperOption) -> bool:
    return option.multiple or option.is_flag or option.count
