"""What the tables and containers of one fleet are called."""

from __future__ import annotations

from dataclasses import dataclass

from jobfleet_backends.settings import Settings

DEFAULT_AUDIT_TABLE = "JobAuditTrail"


@dataclass(frozen=True, slots=True)
class StorageNames:
    """Names of the tables and containers of one fleet.

    Tables: ``audit``, ``index``, ``letters``, ``workers``, ``control``, ``rates``, ``groups``.
    Containers: ``locks``, ``payloads``.

    An audit table of another name is the prefix of what stands beside it, so that two fleets can
    share an account. The longest name allowed for it (49) leaves room for the longest (63).
    """

    audit: str
    index: str
    letters: str
    workers: str
    control: str
    rates: str
    groups: str
    locks: str
    payloads: str

    @classmethod
    def of(cls, settings: Settings) -> StorageNames:
        """Derive all names from the settings."""
        own = "" if settings.audit_table == DEFAULT_AUDIT_TABLE else settings.audit_table
        return cls(
            audit=settings.audit_table,
            index=f"{own}JobIndex",
            letters=f"{own}JobDeadLetters",
            workers=f"{own}JobWorkers",
            control=f"{own}JobControl",
            rates=f"{own}JobRates",
            groups=f"{own}JobGroups",
            locks=settings.lock_container,
            payloads=f"{own.lower()}-job-payloads" if own else "job-payloads",
        )
