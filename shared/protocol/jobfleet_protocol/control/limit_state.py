"""A named limit after each entry of its log, and what may follow; pure.

State, as JSON: ``slots``, ``rate``, ``burst`` and ``removed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.control import ControlEntry, ControlKind
from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.errors import InvalidRequest, UnknownLimit
from jobfleet_contracts.lease import MAX_LIMIT_SLOTS
from jobfleet_contracts.rate import Rate
from jobfleet_protocol.control.control_writer import ControlDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A named limit.

    Attributes:
        slots: how many jobs that name it may run at once; ``None``: any number.
        rate: how many of them may start in a period; ``None``: any number.
        removed: nothing is limited any more.
        by, since, reason: who set it last, when and why.
        is_unreadable: it stands in for an entry whose state cannot be read.
    """

    name: str
    slots: int | None
    rate: Rate | None
    removed: bool
    by: str
    since: datetime
    reason: str
    is_unreadable: bool = False

    @classmethod
    def of(cls, entry: ControlEntry) -> Limit:
        """Return the limit after an entry. One that cannot be read lets no job start."""
        try:
            slots, rate = _read(entry.state)
            removed, is_unreadable = bool(entry.state["removed"]), False
        except (KeyError, TypeError, ValueError, AttributeError):
            slots, rate, removed, is_unreadable = None, None, False, True
        return cls(
            name=entry.name,
            slots=slots,
            rate=rate,
            removed=removed,
            by=entry.by,
            since=entry.occurred_at,
            reason=entry.reason,
            is_unreadable=is_unreadable,
        )

    @property
    def text(self) -> str:
        """Say it in a line: ``5 slots, 10/second``."""
        if self.is_unreadable:
            return "its log cannot be read: set it anew"
        if self.removed:
            return "removed"
        parts = [] if self.slots is None else [f"{self.slots} slot{'s' * (self.slots > 1)}"]
        if self.rate is not None:
            burst = f", burst {self.rate.burst}" if self.rate.burst > 1 else ""
            parts.append(f"{self.rate}{burst}")
        return ", ".join(parts)

    @property
    def shown_reason(self) -> str:
        """The reason as it may be shown: an operator may have pasted a command line into it."""
        return masked_text(self.reason)

    def to_json(self) -> dict[str, Any]:
        """Return what lists of limits show."""
        return {
            "name": self.name,
            "slots": self.slots,
            "rate": None if self.rate is None else self.rate.text,
            "burst": None if self.rate is None else self.rate.burst,
            "setBy": self.by,
            "setAt": format_time(self.since),
            "reason": self.shown_reason,
        }


def set_limit(
    newest: ControlEntry | None,
    *,
    slots: int | None,
    rate: str | None,
    burst: int,
    by: str,
    reason: str,
) -> ControlDraft | None:
    """Return the entry that sets the whole limit; ``None`` if the same stands already.

    Raises:
        InvalidRequest: a value does not fit, or nothing would be limited.
    """
    state = {"slots": slots, "rate": rate, "burst": burst, "removed": False}
    check_limit(slots, rate, burst)
    if newest is not None and newest.state == state:
        return None
    return ControlDraft(kind=ControlKind.SET, by=by, reason=reason, state=state)


def remove_limit(newest: ControlEntry | None, *, name: str, by: str, reason: str) -> ControlDraft:
    """Return the entry that ends the limit.

    Raises:
        UnknownLimit: there is none of this name.
    """
    if newest is None or Limit.of(newest).removed:
        raise UnknownLimit(f"no limit {name}")
    state = {"slots": None, "rate": None, "burst": 1, "removed": True}
    return ControlDraft(kind=ControlKind.REMOVED, by=by, reason=reason, state=state)


def check_limit(slots: Any, rate: Any, burst: Any) -> None:
    """Check what a limit is to be set to.

    Raises:
        InvalidRequest: names the field, and says what is allowed.
    """
    if slots is None and rate is None:
        raise InvalidRequest(
            "slots: name slots, a rate or both; a limit without either limits nothing. "
            "To end a limit, remove it",
            field="slots",
        )
    if slots is not None and not (type(slots) is int and 1 <= slots <= MAX_LIMIT_SLOTS):
        raise InvalidRequest(
            f"slots: {slots!r} is not allowed; use a whole number from 1 to {MAX_LIMIT_SLOTS:,}. "
            "To stop its jobs, pause their queue or type",
            field="slots",
        )
    if rate is None and burst != 1:
        raise InvalidRequest("burst: needs a rate beside it", field="burst")
    try:
        Rate("1/second" if rate is None else rate)
    except ValueError as error:
        raise InvalidRequest(f"rate: {error}", field="rate") from error
    try:
        Rate("1/second", burst=burst)
    except ValueError as error:
        raise InvalidRequest(f"burst: {error}", field="burst") from error


def _read(state: Mapping[str, Any]) -> tuple[int | None, Rate | None]:
    slots, rate = state["slots"], state["rate"]
    if slots is not None and not (type(slots) is int and 1 <= slots <= MAX_LIMIT_SLOTS):
        raise ValueError(f"slots are {slots!r}")
    return slots, None if rate is None else Rate(rate, burst=state["burst"])
