"""What Procrastinate's worker imports."""

from __future__ import annotations

import os

from devtools.bench.procrastinate_queue import URL, app_on

app = app_on(os.environ[URL])
