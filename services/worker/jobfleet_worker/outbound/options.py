"""What this worker may call, and how patiently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobfleet_contracts.callback_target import CallbackTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundOptions:
    """Settings of all outbound calls of one worker.

    Attributes:
        allowed_hosts: if any are named, only these are called; ``*.example.org`` stands for every
            name below ``example.org``.
        allow_private_targets: private and loopback addresses may be called; link-local, metadata,
            multicast and the like never.
        allowed_headers, blocked_headers: names that a job may set; none allowed: all but blocked.
        http_timeout_seconds: one call, from its start to the last byte of the answer.
        breaker_failures: failures in a row that open the circuit of a host.
        breaker_open_seconds: how long it stays open before one call may probe.
        callback_base_url: where third parties reach the dashboard.
        callback_secrets: the first one signs what we send to callback addresses.
        callback_targets: third parties with secrets of their own, by name.
        secrets: values of ``${secret:NAME}``.
        secret_hosts: the only hosts that a secret is sent to; one without an entry goes to hosts
            of ``allowed_hosts`` only.
        allow_secrets_over_http: else secrets are sent over https only.
    """

    allowed_hosts: tuple[str, ...] = ()
    allow_private_targets: bool = False
    allowed_headers: tuple[str, ...] = ()
    blocked_headers: tuple[str, ...] = ()
    http_timeout_seconds: float = 10
    breaker_failures: int = 5
    breaker_open_seconds: float = 30
    callback_base_url: str | None = None
    callback_secrets: tuple[str, ...] = field(default=(), repr=False)
    callback_targets: Mapping[str, CallbackTarget] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    allow_secrets_over_http: bool = False
