"""``python -m jobfleet_publisher``: the publisher console, without the command line's package."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from jobfleet_contracts.errors import BackendUnavailable, SettingsError
from jobfleet_contracts.missing_extra import remedy
from jobfleet_publisher.publisher import Publisher, keep_quiet

DONE, USAGE, UNREACHABLE = 0, 2, 3
"""Exit codes, as those of ``jobfleet``."""


def main(arguments: list[str] | None = None) -> int:
    """Run the console on this terminal until ``q``; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.check:
        return _ended(_check())
    if not sys.stdin.isatty():
        return _refuse("the console needs a terminal; a program submits with Publisher", USAGE)
    return _ended(_console())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobfleet_publisher",
        description="Any key submits one random test job, q quits.",
    )
    asked = "ask the servers instead; exit 0 if all answer, else 3"
    parser.add_argument("--check", action="store_true", help=asked)
    return parser


def _ended(work: Coroutine[Any, Any, int]) -> int:
    try:
        return asyncio.run(work)
    except SettingsError as error:
        return _refuse(str(error), USAGE)
    except BackendUnavailable as error:
        return _refuse(str(error), UNREACHABLE)


async def _check() -> int:
    from jobfleet_backends.open_backend import open_backend
    from jobfleet_backends.settings import load_settings

    keep_quiet()
    backend = await open_backend(load_settings())
    try:
        faults = [probe for probe in await backend.probe() if not probe.ok]
    finally:
        await backend.close()
    for probe in faults:
        _refuse(f"{probe.part} {probe.address}: {probe.detail}", UNREACHABLE)
    return UNREACHABLE if faults else DONE


async def _console() -> int:
    try:
        from prompt_toolkit.input import create_input

        from jobfleet_publisher.console import Console
    except ModuleNotFoundError as error:
        raise SettingsError(remedy("the console", "console", error)) from None
    async with Publisher.from_env() as publisher:
        await Console(publisher=publisher, keys=create_input(), say=_say).run()
    return DONE


def _say(line: str) -> None:
    """Print a line in raw mode, which needs a carriage return; unprintable characters become ?."""
    shown = "".join(each if each.isprintable() else "?" for each in line)
    sys.stdout.write(f"{shown}\r\n")
    sys.stdout.flush()


def _refuse(reason: str, code: int) -> int:
    sys.stderr.write(f"error: {reason}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
