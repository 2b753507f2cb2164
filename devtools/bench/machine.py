"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

_CPU_FACTS = Path("/proc/cpuinfo")


def describe() -> dict[str, str]:
    """Return processor, cores, system and Python."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def pace_ms() -> float:
    """Return CPU milliseconds of a fixed piece of Python.

    Neighbours on the same cores stretch CPU time too: figures of two runs compare by this one.
    """
    began = time.process_time()
    total = 0
    for number in range(400_000):
        total += number % 7
    return round((time.process_time() - began) * 1000, 1)


def load() -> float:
    """Return the load average of the last minute: what else was running."""
    return round(os.getloadavg()[0], 1)


def _processor() -> str:
    if _CPU_FACTS.exists():
        for line in _CPU_FACTS.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
