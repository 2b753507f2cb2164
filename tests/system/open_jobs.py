"""A fleet with open jobs of each kind, sealed and written to a file of the corpus.

``python -m tests.system.open_jobs tests/corpus/X.Y.Z/open-jobs.move.gz`` writes the file of a
release with a new form. No job in it runs: a sealed fleet has ended each run, or has taken the job
from its lost worker.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from unittest.mock import patch

from jobfleet_backends.settings import Settings
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.move_export import MoveExport
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.actions.groups import group_request
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.moving import move_out
from tests.system.moved_fleet import Fleet, opened, populate

AGO_SECONDS = 86_400
"""All happened a day ago, so that every due time has passed when the file is imported."""


async def write_open_jobs(file: Path, folder: Path) -> None:
    """Make the fleet in a folder, and write it; ``file`` is not compressed."""
    with (
        patch.object(move_out, "SETTLED_SECONDS", 0.0),
        patch.object(move_out, "LOOK_SECONDS", 0.01),
        patch.dict(os.environ, LOGNAME="operator"),
    ):
        async with opened(Settings(backend="embedded", data_dir=folder)) as fleet:
            bench = fleet.bench
            bench.clock.advance(-AGO_SECONDS)
            with patch.object(bench, "submit", partial(bench.submit, created_at=bench.clock.now())):
                await populate(fleet)
            await _open_group(fleet)
            export = MoveExport(out=file, reason="kept for later releases", wait_seconds=30)
            assert await export.run(fleet.session) is ExitCode.DONE


async def _open_group(fleet: Fleet) -> None:
    """One member has ended, one is queued, and a job follows the group."""
    bench, groups = fleet.bench, fleet.bench.writes.groups
    now = bench.clock.now()
    request = group_request({"jobName": "two", "then": [{"type": "x"}], "createdAt": now})
    group_id = (await groups.open(request)).job_id
    for index in range(2):
        await groups.add(group_id, index, JobRequest(type="x", created_at=now))
    await groups.seal(group_id, 2)
    first = request_of(await bench.first(member_id(group_id, 0)))
    await bench.writes.ending.conclude(await bench.end(await bench.claimed(first)))


def main(target: Path) -> None:
    """Write the corpus file."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "open-jobs.jsonl"
        asyncio.run(write_open_jobs(plain, Path(folder) / "fleet"))
        target.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
