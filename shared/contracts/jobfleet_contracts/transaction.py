"""All that makes a job exist, written in one transaction: a backend's, or a submitter's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.message import JobMessage

TransactionState = Literal["open", "committed", "rolled back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """All that makes a job exist.

    Attributes:
        event: event 1, with its data, however large.
        stored: event 1 as its row holds it, and under which name large data are to be stored.
        message: ``None`` if the job is due so late that the rescuer publishes it.
        delay_seconds: until the message shows up.
        notify: whether the commit of a user's transaction wakes waiting workers. The server makes
            each commit that notifies wait for all others that do. Without it workers find the job
            within a second.
    """

    event: Event
    stored: Event
    data: tuple[str, bytes] | None
    row: OpenRow
    message: JobMessage | None
    delay_seconds: float
    notify: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """What stands in the transaction now.

    Attributes:
        transaction: its number, to ask whether it was committed.
        first, head: the job's first and newest event if it existed before; ``None`` if it was
            made. Large data of ``first`` are resolved.
    """

    transaction: str
    first: Event | None = None
    head: Event | None = None


class JobOpenings(Protocol):
    """Makes jobs exist in one transaction of the backend's own."""

    async def write(self, opening: Opening) -> None:
        """Write the open row, event 1, its copies in the index, and the message: all or none.

        An open row whose event never came is taken over.

        Raises:
            SequenceTaken: the job exists; nothing was written.
            BackendUnavailable: all of it may have been written, or may be written later.
        """
        ...


class UserTransactions(Protocol):
    """Submits inside transactions of the submitter's own.

    What a connection's library or the server raises goes to the caller as it is: he alone knows
    whether his transaction can go on.
    """

    def is_async(self, connection: Any) -> bool:
        """Return whether the connection is to be used with ``await``.

        Raises:
            InvalidRequest: it is none that is known; names those that are.
        """
        ...

    def write(self, connection: Any, opening: Opening, fleet: str) -> Opened:
        """Write all of it, or nothing if the job exists; nothing is committed.

        Args:
            fleet: as :meth:`fleet` returned it.

        Raises:
            InvalidRequest: the connection leads to another database, or commits by itself.
        """
        ...

    async def write_async(self, connection: Any, opening: Opening, fleet: str) -> Opened:
        """Like ``write``, on a connection that is used with ``await``."""
        ...

    async def fleet(self) -> str:
        """Return the mark of this fleet's tables, which no other database has."""
        ...

    async def moment(self) -> str:
        """Return a mark of this moment, for :meth:`are_over`."""
        ...

    async def are_over(self, moment: str) -> bool:
        """Return whether every transaction has ended that had written something by the moment."""
        ...

    async def state(self, transaction: str) -> TransactionState:
        """Return what became of a transaction."""
        ...
