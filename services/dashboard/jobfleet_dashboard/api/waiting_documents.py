"""Why a job has not started."""

from __future__ import annotations

from typing import Literal

from jobfleet_dashboard.api.documents import Document


class WaitingDocument(Document):
    """One reason; `text` is for people."""

    kind: Literal["paused", "time", "deferred", "noWorker", "noHandler", "slots", "ahead", "soon"]
    text: str


class WaitingList(Document):
    """The strongest reason first; empty for jobs that run or have ended."""

    items: list[WaitingDocument]
