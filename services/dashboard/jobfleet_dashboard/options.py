"""The options of a dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobfleet_contracts.callback_target import CallbackTarget
from jobfleet_contracts.message import JobDefaults


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardOptions:
    """Options of one dashboard process; the CLI maps settings to them.

    Attributes:
        defaults: applied at submit where a request does not say.
        version: jobfleet's version, for OpenAPI and pages.
        host, port: where the server listens; port 0 picks a free one.
        api_keys: ``name:role:sha256hex`` each; none: everybody who gets here is an operator.
        session_secret: signs browser cookies; ``None``: made at start, so a restart logs out.
        trust_network: lets a dashboard without keys listen elsewhere than on loopback.
        rate_limit: submits per key, or per address without keys, as ``1000/minute``.
        max_queue_size: above this many ready messages in a queue a submit to it is refused.
        callback_secrets: verify third parties' callbacks; the first one also signs.
        callback_targets: third parties with secrets of their own, by name.
        callback_base_url: where third parties reach this dashboard.
        root_path: what a proxy serves the dashboard below, as ``/jobs``; empty: a host of its own.
        trace_url: address of a trace, with ``{traceId}`` in the place of its id.
    """

    defaults: JobDefaults
    version: str
    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    session_secret: str | None = field(default=None, repr=False)
    trust_network: bool = False
    rate_limit: str = "1000/minute"
    max_queue_size: int | None = None
    callback_secrets: tuple[str, ...] = field(default=(), repr=False)
    callback_targets: Mapping[str, CallbackTarget] = field(default_factory=dict)
    callback_base_url: str | None = None
    root_path: str = ""
    trace_url: str | None = None
