"""Running a test while a bug is planted, to see whether the test finds it."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import pytest


async def failure_of(test: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Run a test and return how it failed: the error's name and the line of the test.

    Args:
        given: values of fixtures and parameters; the test takes those that it names.

    Returns:
        an empty text if the test passed.
    """
    arguments = {name: given[name] for name in inspect.signature(test).parameters}
    try:
        if inspect.iscoroutinefunction(test):
            await test(**arguments)
        else:
            await asyncio.to_thread(test, **arguments)
    except (Exception, pytest.fail.Exception) as failure:  # noqa: BLE001 - it is judged by its name
        file = inspect.getsourcefile(test)
        frames = traceback.extract_tb(failure.__traceback__)
        line = next(frame.line for frame in reversed(frames) if frame.filename == file)
        return f"{type(failure).__name__}: {line}"
    return ""
