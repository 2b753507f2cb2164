"""Values that examples share."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

JOB_ID = "0197f0c2-6d5e-7c3a-9f58-2b1d3e4f5a6b"
WORKER_ID = "0197f0c2-1111-7aaa-8bbb-123456789abc"
AT = "2026-11-20T09:30:00.000000Z"
