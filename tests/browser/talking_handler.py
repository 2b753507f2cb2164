"""A handler that says what it does, for the pages to show."""

from __future__ import annotations

import asyncio
import logging

import structlog

from jobfleet_worker import handler

_log = logging.getLogger("shop.imports")
_log.setLevel(logging.INFO)
_entries = structlog.get_logger()


@handler("talk")
async def talk(payload: int) -> None:
    _log.info("reading %d rows", payload)
    for number in range(payload):
        _entries.info("row read", row=number, token="not-to-be-shown")
        await asyncio.sleep(1)  # so that a reader who follows the log sees lines come one by one
    try:
        raise ValueError("no such customer")
    except ValueError:
        _log.exception("row <b>refused</b>")
    raise LookupError("the file is incomplete")
