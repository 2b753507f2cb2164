"""The entry point of ``jobfleet`` and ``python -m jobfleet_cli``."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT


def run() -> None:
    """Run one command; Ctrl-C ends it with 130, without a traceback, also while it is imported."""
    is_heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heeded:
        signal.signal(signal.SIGINT, _end)
    from jobfleet_cli.main import main

    try:
        if is_heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)  # an exception could be caught by the module that is being imported


if __name__ == "__main__":
    run()
