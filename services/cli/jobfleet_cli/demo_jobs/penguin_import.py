"""An import that survives a crash: progress for people, checkpoints for the next attempt."""

from __future__ import annotations

import asyncio
import csv
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, Field

from jobfleet_cli.demo_jobs.penguin_table import Penguin, store
from jobfleet_worker import JobContext, handler


class ImportPayload(BaseModel):
    """What to import, and where to.

    Attributes:
        csv_file: the file; unset means the one that comes with this example.
        pause_seconds: after each batch, to be gentle to a busy database.
    """

    database: Path
    csv_file: Path | None = None
    batch_rows: int = Field(default=50, ge=1)
    pause_seconds: float = Field(default=0, ge=0)


class ImportResult(BaseModel):
    """What came of it."""

    rows: int
    resumed_at_row: int
    database: Path


@handler("demo.import", max_attempts=5, timeout=300)
async def import_penguins(payload: ImportPayload, context: JobContext) -> ImportResult:
    """Copy the file into the table; an attempt after a crash goes on behind the last checkpoint."""
    birds = await asyncio.to_thread(_read, payload.csv_file)
    done_before: int = context.last_checkpoint or 0
    for start in range(done_before, len(birds), payload.batch_rows):
        batch = birds[start : start + payload.batch_rows]
        done = start + len(batch)
        await asyncio.to_thread(store, payload.database, batch, complete=done == len(birds))
        await context.checkpoint(done)
        await context.progress(done, len(birds), f"{done}/{len(birds)} penguins imported")
        await asyncio.sleep(payload.pause_seconds)
    return ImportResult(rows=len(birds), resumed_at_row=done_before, database=payload.database)


def _read(csv_file: Path | None) -> list[Penguin]:
    source = csv_file or files("jobfleet_cli.demo_jobs") / "data" / "penguins.csv"
    with source.open(encoding="utf-8") as lines:
        return [_bird(line, row) for line, row in enumerate(csv.DictReader(lines), start=2)]


def _bird(line: int, row: dict[str, str]) -> Penguin:
    return Penguin(
        line=line,
        species=row["species"],
        island=row["island"],
        flipper_mm=_number(row["flipper_length_mm"]),
        mass_g=_number(row["body_mass_g"]),
        year=int(row["year"]),
    )


def _number(text: str) -> float | None:
    return None if text in ("", "NA") else float(text)
