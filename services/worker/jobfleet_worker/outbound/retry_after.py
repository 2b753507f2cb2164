"""How long a server asks us to wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from jobfleet_worker.outbound.http_call import HttpAnswer

LONGEST = timedelta(days=1)
_NUMBER = re.compile(r"[0-9]{1,300}(\.[0-9]{0,300})?")
_ASKS = frozenset({408, 429, 503})


def retry_after(answer: HttpAnswer) -> timedelta | None:
    """Return the wait that ``Retry-After`` names, at most a day; ``None`` if it names none."""
    header = answer.header("Retry-After")
    if header is None or answer.status not in _ASKS:
        return None
    wait = _seconds(header.strip())
    if wait is None:
        wait = _until(header.strip())
    return None if wait is None else min(max(wait, timedelta(0)), LONGEST)


def _seconds(header: str) -> timedelta | None:
    """Return a number of seconds, however many digits it has; servers send fractions too."""
    if _NUMBER.fullmatch(header) is None:
        return None
    return timedelta(seconds=min(float(header), LONGEST.total_seconds()))


def _until(header: str) -> timedelta | None:
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment - datetime.now(UTC)
