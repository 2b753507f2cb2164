"""What Huey's consumer imports."""

from __future__ import annotations

import os
from pathlib import Path

from devtools.bench.huey_queue import HueyQueue

FILE = "BENCH_HUEY_FILE"

huey = HueyQueue(Path(os.environ[FILE])).huey
