"""How an outbound call ends that was not answered well; each chooses the attempt's outcome."""

from __future__ import annotations

from jobfleet_worker.handlers.verdicts import Defer, Fail, Retry


class TargetForbidden(Fail):
    """A job may not use the address or a header; another attempt would not help."""


class CallRefused(Fail):
    """The target answered with a status that no repetition would change."""


class CallFailed(Retry):
    """The target did not answer, or asked for patience (408, 429, 5xx): try again later."""


class CircuitOpen(Defer):
    """The target has failed too often recently: not now, and no attempt is used."""


class LookupsBusy(Defer):
    """Too many names of this job type are being looked up: not now, and no attempt is used."""
