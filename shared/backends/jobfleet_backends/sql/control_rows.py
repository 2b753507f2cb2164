"""Entries of the control log as rows of the database."""

from __future__ import annotations

from jobfleet_backends.sql.row_codec import Row, check_row
from jobfleet_contracts.codec import encode_text, format_time
from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.field_checks import checked_time, json_object

CONTROL_COLUMNS = (
    "subject, name, sequence, entry_id, kind, by_whom, occurred_at, reason, details, state"
)


def entry_to_row(entry: ControlEntry) -> Row:
    """Return the values of ``CONTROL_COLUMNS``."""
    return (
        str(entry.subject),
        entry.name,
        entry.sequence,
        entry.entry_id,
        str(entry.kind),  # a later release may have a kind that we do not know
        entry.by,
        format_time(entry.occurred_at),
        entry.reason,
        encode_text(dict(entry.details)),
        encode_text(dict(entry.state)),
    )


def row_to_entry(row: Row) -> ControlEntry:
    """Return the entry of a row of ``CONTROL_COLUMNS``, or a stand-in if it cannot be read."""
    subject, name, sequence, entry_id, kind, by, occurred_at, reason, details, state = row
    try:
        check_row(row)
        return ControlEntry(
            subject=ControlSubject(subject),
            name=name,
            sequence=sequence,
            entry_id=entry_id,
            kind=ControlKind(kind),
            by=by,
            occurred_at=checked_time(occurred_at),
            reason=reason,
            details=json_object(details, "details"),
            state=json_object(state, "state"),
        )
    except ValueError as error:
        return ControlEntry.unreadable(ControlSubject(subject), name, sequence, str(error))
