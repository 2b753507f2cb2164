"""Handlers that log, in every way in which handlers run."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from pathlib import Path
from typing import Any

import structlog

from jobfleet_worker import handler

_plain = logging.getLogger("shop.mail")
_plain.setLevel(logging.INFO)
_alone = logging.getLogger("shop.alone")
_alone.setLevel(logging.INFO)
_alone.propagate = False
_structured = structlog.get_logger()


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def say_all(password: str) -> None:
    _plain.info("mail %d of %d", 1, 2, extra={"customer": 7})
    _alone.warning("nobody else hears this")
    _plain.debug("not wanted")
    _structured.info("row read", row=3, password=password, odd=Unspeakable())
    _structured.info("row read", row=4, place=Path("/data"))
    try:
        raise ValueError("no such customer")
    except ValueError:
        _structured.exception("given up", url=f"https://me:{password}@example.org/")


@handler("log.coroutine")
async def coroutine(payload: str) -> None:
    say_all(payload)
    await asyncio.to_thread(_plain.info, "from a thread")
    await asyncio.create_task(_late())


async def _late() -> None:
    await asyncio.sleep(0)
    _plain.info("from a task")


@handler("log.thread")
def thread(payload: str) -> None:
    say_all(payload)


@handler("log.process", run_in="process")
def process(payload: str) -> None:
    say_all(payload)
    other = threading.Thread(target=_plain.info, args=["from a thread"])
    other.start()
    other.join()


@handler("log.nothing")
async def nothing() -> None:
    logging.getLogger("shop.quiet").debug("not wanted")


@handler("log.much")
async def much(payload: dict[str, Any]) -> None:
    for number in range(payload["lines"]):
        _plain.info("%06d %s", number, "x" * payload["size"])
        if number % 50 == 0:
            await asyncio.sleep(0)


@handler("log.fails")
async def fails() -> None:
    _plain.error("it is about to fail")
    raise ValueError("as announced")


@handler("log.waits")
async def waits(payload: str) -> None:
    _plain.info("waiting for %s", payload)
    while not Path(payload).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)
    _plain.info("waited")


@handler("log.goes_on", timeout=0.2)
def goes_on(payload: str) -> None:
    _plain.info("once")
    while not Path(payload).exists():
        time.sleep(0.01)
    _plain.info("after its end")
    Path(payload).unlink()
