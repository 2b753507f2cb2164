"""The shop of examples/shop, started with the two commands of its README, on two backends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from jobfleet_cli.local_port import free_port
from tests.polling import eventually
from tests.servers import ON_EMBEDDED

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "shop"

pytestmark = pytest.mark.system


class Shop:
    """The running shop, as its customers see it."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    async def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        return await asyncio.to_thread(self._ask, path, body, method)

    def _ask(self, path: str, body: Any, method: str | None) -> Any:
        text = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        address = self._address + path  # loopback
        request = Request(address, text, headers, method=method)  # noqa: S310
        with urlopen(request, timeout=40) as answer:  # noqa: S310
            return json.load(answer)

    async def until_ended(self, job_id: str) -> Any:
        async def ended() -> Any:
            found = await self.ask(f"/jobs/{job_id}")
            return found if found["state"] in ("completed", "failed") else None

        return await eventually(f"job {job_id} ends", ended, every=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example, so that it leaves nothing behind in the sources."""
    return Path(shutil.copytree(SHOP, tmp_path / "shop"))


@contextmanager
def started(folder: Path, *commands: list[str], environment: dict[str, str]) -> Iterator[Path]:
    log = folder / "all.log"
    with log.open("w") as out:
        running = [
            subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env={**os.environ, **environment},
                stdout=out,
                stderr=out,
            )
            for command in commands
        ]
    try:
        yield log
    finally:
        for each in running:
            each.terminate()
        for each in running:
            each.wait(60)


@ON_EMBEDDED
@pytest.mark.servers
async def test_the_shop_sells_and_reports_on_every_backend(
    folder: Path, backend_environment: dict[str, str]
) -> None:
    port = free_port(0)
    fleet = ["jobfleet_cli", "up", "--handlers", "shop.handlers,shop.hooks", "--port", "0"]
    web = ["uvicorn", "shop.web:app", "--port", str(port)]
    shop = Shop(port)
    with started(folder, fleet, web, environment=backend_environment) as log:

        async def answers() -> Any:
            try:
                return await shop.ask("/openapi.json")
            except (URLError, ConnectionError):
                return None

        await eventually("the shop answers", answers, every=0.2)
        prices = [{"name": "pen", "price": 2.0}, {"name": "lamp", "price": 30.0}]
        assert await shop.ask("/prices", prices, "PUT") == {"jobs": 2}
        order = {"number": 7, "customer": "ada", "articles": ["ink", "paper"]}
        first, again = await shop.ask("/orders", order), await shop.ask("/orders", order)
        assert first == again
        ended = await shop.until_ended(first["job"])
        assert ended["result"] == {"number": 7, "total": 11.25}
        with pytest.raises(HTTPError, match="409"):
            await shop.ask("/orders", order | {"articles": ["pen"]})
        unicorn = {"number": 8, "customer": "alan", "articles": ["unicorn"]}
        failed = await shop.until_ended((await shop.ask("/orders", unicorn))["job"])
        assert (failed["state"], failed["message"]) == ("failed", "the shop does not have unicorn")

        async def paid() -> Any:
            report = await shop.ask("/report")
            return report if report["orders"] else None

        assert await eventually("the order is paid", paid, every=0.5) == {
            "orders": 1,
            "total": 11.25,
        }
        await _bill_a_month(shop)
    text = log.read_text()
    assert "order.confirm" in text
    assert "failed: the shop does not have unicorn" in text


async def _bill_a_month(shop: Shop) -> None:
    """Have three orders of two customers billed: a group of two jobs, then the report of both."""
    bought = [("ada", ["pen"]), ("alan", ["paper"]), ("ada", ["paper"])]
    for number, (customer, articles) in enumerate(bought, start=20):
        order = {"number": number, "customer": customer, "articles": articles, "day": "2025-03-14"}
        await shop.until_ended((await shop.ask("/orders", order))["job"])
    with pytest.raises(HTTPError, match="400"):
        await shop.ask("/invoices/9999-01", method="POST")
    first = await shop.ask("/invoices/2025-03", method="POST")
    assert await shop.ask("/invoices/2025-03", method="POST") == first
    ended = await shop.until_ended(first["group"])
    assert (ended["state"], ended["result"]) == ("completed", {"members": 2})

    async def reported() -> Any:
        try:
            return await shop.ask("/invoices/2025-03")
        except HTTPError as error:
            if error.code != 404:
                raise
            return None

    assert await eventually("the month is summed up", reported, every=0.2) == {
        "month": "2025-03",
        "invoices": 2,
        "missing": 0,
        "total": 10.0,
    }


def test_its_own_tests_pass(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "tests"]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_mypy_and_pyright_find_nothing(folder: Path) -> None:
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache/shop")]
    ran = subprocess.run(
        [*mypy, "shop", "tests"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    settings = {"typeCheckingMode": "standard", "pythonVersion": "3.11", "include": ["shop"]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    pyright = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable]
    ran = subprocess.run(
        pyright, cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
