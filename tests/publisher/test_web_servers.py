"""The programs of docs/web-servers.md under the servers that people run them with."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from jobfleet_cli.local_port import free_port
from jobfleet_publisher.sync import Publisher
from tests.docs.sample_page import SamplePage
from tests.polling import eventually

GUNICORN = ("gunicorn", "--no-control-socket", "--bind", "127.0.0.1:{port}")
SERVERS = {
    "uvicorn fastapi": ("uvicorn", "fastapi_app:app", "--port", "{port}"),
    "uvicorn starlette": ("uvicorn", "starlette_app:app", "--port", "{port}"),
    "gunicorn preload flask": (
        *GUNICORN,
        *("flask_app:app", "--workers", "2", "--threads", "4", "--preload"),
    ),
    "gunicorn preload django": (*GUNICORN, "django_app", "--workers", "2", "--preload"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("site")
    SamplePage("docs/web-servers.md").write(found, replacing={})
    return found


@contextmanager
def served(folder: Path, command: tuple[str, ...], port: int) -> Iterator[Path]:
    """Run a server until the end of the block; yields its log."""
    log = folder / f"{port}.log"
    arguments = [each.format(port=port) for each in command]
    environment = {**os.environ, "JOBFLEET_DATA_DIR": str(folder / "jobs")}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=folder, env=environment, stdout=out, stderr=out
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait(30)


def post(port: int, to: str) -> str:
    request = Request(
        f"http://127.0.0.1:{port}/letters",
        json.dumps({"to": [to]}).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        assert answer.status == 202
        job_id: str = json.load(answer)["job"]
        return job_id


@pytest.mark.parametrize("server", SERVERS)
async def test_each_application_submits_from_many_requests_at_once(
    folder: Path, server: str
) -> None:
    port = free_port(0)
    with served(folder, SERVERS[server], port) as log:

        async def first() -> str | None:
            try:
                return await asyncio.to_thread(post, port, "first")
            except (URLError, ConnectionError):
                return None

        job_ids = [await eventually(f"{server} answers", first, every=0.2)]
        calls = (asyncio.to_thread(post, port, f"{number}") for number in range(16))
        job_ids += await asyncio.gather(*calls)
    assert len(set(job_ids)) == 17
    with Publisher(data_dir=folder / "jobs") as publisher:
        found = [publisher.find(each) for each in job_ids]
    assert {each.job_type for each in found if each is not None} == {"letters.send"}
    assert "Traceback" not in log.read_text(), log.read_text()
