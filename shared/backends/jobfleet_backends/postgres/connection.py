"""How a session with the server is opened, and what its errors mean."""

from __future__ import annotations

import os
import re
import selectors
import socket
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from jobfleet_contracts.errors import BackendError, BackendForbidden, BackendUnavailable

Session = psycopg.Connection[tuple[Any, ...]]

URL = "JOBFLEET_POSTGRES_URL"
CONNECT_SECONDS = 5
PREPARE_THRESHOLD = 5
"""After how many runs a statement is prepared, in a session that is the server's own."""
# A role that may create functions in a schema of the search path could put one before the server's
# own and have it run with our rights. A session behind a pooler, or a user's own, does not keep the
# path. So statements also name the schema of each function that takes values of any type.
SEARCH_PATH = "set_config('search_path', 'pg_catalog, pg_temp', {local})"
# What is answered must stand after a crash, whatever a role or database has as its default.
_SESSION = f"""
SELECT {SEARCH_PATH.format(local="false")}, set_config('synchronous_commit',
    replace(current_setting('synchronous_commit'), 'off', 'on'), false),
    set_config('default_transaction_isolation', 'read committed', false)
"""
# Times are read as ISO 8601, and minutes and hours cut off in UTC. The server tells these settings
# when a session begins, and a pooler keeps them apart for each of its clients.
_TIMES = "SET datestyle = 'ISO'; SET timezone = 'UTC'"
_DEFAULTS = {
    "application_name": "jobfleet",
    # With several hosts: the one that takes writes. With one: a standby is refused by name.
    "target_session_attrs": "read-write",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
_READ_ONLY = (
    f"is a read-only standby, or writes are off for this role; point {URL} at the primary, "
    "e.g. with all servers of the cluster and target_session_attrs=read-write"
)
_REFUSALS = {
    "28": f"refused the sign-in; check user and password in {URL}",
    "address": f"cannot be reached in this way; correct {URL}",
    "3D000": f"has no such database; create it, or name another one in {URL}",
    "42501": "refused a statement: this role lacks a permission; see the grants in the docs page "
    "on PostgreSQL, or run `jobfleet migrate` as the owner",
}
"""What no repetition mends, by SQLSTATE or its first two characters."""
_FAULTS = {
    "53100": "has a full disk; free some space",
    "53300": "takes no more connections; raise max_connections, or run fewer processes",
    "55P03": "did not give a lock in time: another transaction holds this row; find it in "
    "pg_stat_activity",
    "57014": "cancelled the statement; check its statement_timeout",
    "25P03": "ended an idle transaction; check idle_in_transaction_session_timeout",
    "25006": _READ_ONLY,
    "42P01": "lacks a table of this release; run `jobfleet migrate`, and undo changes by hand",
    "42703": "lacks a column of this release; run `jobfleet migrate`, and undo changes by hand",
    "42P10": "lacks a primary key of this release; undo changes by hand",
    "42883": "lacks a function of this release; undo changes by hand",
    "3F000": "lacks the schema; run `jobfleet migrate`",
}
_PASSING = frozenset({"08", "40", "53", "55", "57", "58", "XX", "25", "42", "3F"})
"""Classes of errors that say nothing of the statement's values."""
_READ_ONLY_MARKS = ("session is read-only", "server is in hot standby mode")
"""What the driver says of a server that it finds and may not use, without an SQLSTATE."""
# An error of the connect has no SQLSTATE. What its text means, in this order:
_CONNECT_ERRORS = (
    (re.compile("authentication failed|no password supplied|no pg_hba.conf entry"), "28"),
    (re.compile('role ".*" does not exist|is not permitted to log in|no such user'), "28"),
    (re.compile('database ".*" does not exist|no such database'), "3D000"),
    (re.compile("permission denied for database"), "42501"),
    (re.compile("too many (?:clients|connections)|remaining connection slots"), "53300"),
    (re.compile("connection is bad: invalid |unrecognized configuration parameter"), "address"),
)

_MISREAD = re.compile(r"postgres(?:ql)?://(?:[^@]*/[^@]*@|[^@]*@[^@]*@)")
_PORTS = re.compile(r"[0-9,]*")


class Address:
    """Where the database is: how to connect, and how to name it without its password."""

    def __init__(self, url: str) -> None:
        """Read a URL or a list of ``name=value``.

        Raises:
            ValueError: it is neither; the text does not repeat it.
        """
        try:
            given = {name: value for name, value in conninfo_to_dict(url).items() if value}
        except psycopg.Error:
            raise ValueError(
                "is not an address of PostgreSQL; write it as postgresql://USER:PASSWORD@HOST/DATABASE"
            ) from None
        # A password with an unescaped "/" is read as port and database, which errors then show.
        if _MISREAD.match(url) or not _PORTS.fullmatch(str(given.get("port", ""))):
            raise ValueError(
                "holds a port that is not a number, or a sign that ends the password: "
                "write / as %2F, @ as %40 and : as %3A in user and password"
            )
        self._conninfo = make_conninfo("", **{**_DEFAULTS, **given})
        hosts = str(given.get("host", "localhost")).split(",")
        ports = str(given.get("port", "5432")).split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        places = ",".join(
            f"{host}:{port or '5432'}" for host, port in zip(hosts, ports, strict=False)
        )
        self.shown = f"{places}/{given.get('dbname') or given.get('user') or ''}"

    def connect(self, *, seconds: float = CONNECT_SECONDS) -> Session:
        """Open a session in autocommit mode whose times come as text; it prepares no statement.

        Raises:
            psycopg.Error: it cannot be opened; see :meth:`explain`.
        """
        session = psycopg.connect(
            self._conninfo,
            autocommit=True,
            client_encoding="UTF8",
            connect_timeout=max(int(seconds), 1),
            prepare_threshold=None,
        )
        setting = session.info.parameter_status
        if setting("TimeZone") != "UTC" or not (setting("DateStyle") or "").startswith("ISO"):
            try:
                session.execute(_TIMES)
            except psycopg.Error:
                session.close()
                raise
        for name in ("timestamptz", "json", "jsonb"):
            session.adapters.register_loader(name, psycopg.types.string.TextLoader)
        return session

    def explain(self, error: BaseException) -> BaseException:
        """Return the error for the caller; an error about values is returned as it is.

        ``BackendUnavailable`` says nothing of whether a statement took effect: the session may
        have been lost while it was committed.
        """
        if isinstance(error, BackendError) or not isinstance(error, psycopg.Error):
            return error
        meaning = self._meaning(error)
        if meaning is not None:
            meaning.__cause__ = error
            return meaning
        return error

    def _meaning(self, error: psycopg.Error) -> BackendError | None:
        state = error.sqlstate or ""
        message = " ".join(str(error).split())
        state = state or next((code for text, code in _CONNECT_ERRORS if text.search(message)), "")
        refusal = _REFUSALS.get(state) or _REFUSALS.get(state[:2])
        if refusal is not None:
            return BackendForbidden(f"PostgreSQL {self.shown} {refusal} ({message})")
        fault = _FAULTS.get(state)
        if not state and any(mark in message for mark in _READ_ONLY_MARKS):
            fault = _READ_ONLY
        if fault is not None:
            return BackendUnavailable(f"PostgreSQL {self.shown} {fault} ({message})")
        if not state or state[:2] in _PASSING:
            return BackendUnavailable(f"PostgreSQL {self.shown} does not answer well: {message}")
        return None


def is_pooled(session: Session) -> bool:
    """Return whether a pooler answers: it names another process than the server does.

    A pooler gives each transaction one of its own sessions. What is prepared, set or listened to in
    one is unknown to the next.
    """
    return session.execute("SELECT pg_backend_pid()").fetchone() != (session.info.backend_pid,)


def set_up(session: Session) -> None:
    """Let the session find the server's own functions alone, and its commits wait for the disk.

    Statements are prepared where no pooler loses them.

    Raises:
        BackendForbidden: the sessions of the pooler do not wait for the disk.
    """
    if not is_pooled(session):
        session.prepare_threshold = PREPARE_THRESHOLD
        session.execute(_SESSION)
    elif session.execute("SHOW synchronous_commit").fetchone() == ("off",):
        raise BackendForbidden(
            "synchronous_commit is off, and behind a pooler jobfleet cannot set it: set it to on "
            "for this role and database"
        )


def is_alive(session: Session) -> bool:
    """Return whether an idle session can be used; asks the server nothing.

    A server says something to an idle session when it ends it. What else it may say is rare: the
    session is closed then, and another one opened.
    """
    if session.closed:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(session.fileno(), selectors.EVENT_READ)
        if selector.select(0):
            session.close()
    return not session.closed


def cut(session: Session) -> None:
    """End the session's socket from another thread: the one that waits for an answer fails."""
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(session.fileno())) as end,
    ):
        end.shutdown(socket.SHUT_RDWR)
