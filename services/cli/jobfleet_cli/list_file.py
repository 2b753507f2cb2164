"""A whole filtered list as a file: options and output of ``jobs list`` and ``events``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.output_file import Output, write_out
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_contracts.errors import InvalidRequest


class FileForm(StrEnum):
    """Form of an export."""

    CSV = "csv"
    JSON_LINES = "jsonl"


Export = Annotated[
    FileForm | None,
    typer.Option("--export", help="Write all that match, not one page: csv or jsonl."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="With --export; default: standard output."),
]


def check_export(
    form: FileForm | None, out: Path | None, *, cursor: str | None, as_json: bool
) -> None:
    """Refuse options that do not go together.

    Raises:
        InvalidRequest: names the option.
    """
    if form is None and out is not None:
        raise InvalidRequest("--out: goes with --export csv or --export jsonl", field="out")
    if form is not None and (cursor is not None or as_json):
        refused = "--json" if as_json else "--cursor"
        raise InvalidRequest(
            f"{refused}: --export writes the whole list", field=refused.lstrip("-")
        )


async def write_lines(lines: AsyncIterator[bytes], out: Path | None) -> int:
    """Write the lines; the file appears under its name only when all of them are in it."""

    async def write(file: Output) -> None:
        async for line in lines:
            file.write(line)

    await write_out(out, write)
    return ExitCode.DONE


async def fetch_lines(
    dashboard: RemoteDashboard, path: str, fields: Mapping[str, str | None], out: Path | None
) -> int:
    """Write what a dashboard elsewhere exports."""
    return await write_lines(dashboard.download(path, **fields), out)
