"""The built-in handlers that call other servers; they share one client and its circuits."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_contracts.ports import AuditTrail, Clock, PayloadStore
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_worker.builtin.callback_deliver import CALLBACK_DELIVER, CallbackDeliverHandler
from jobfleet_worker.builtin.external_call import EXTERNAL_CALL, ExternalCallHandler
from jobfleet_worker.builtin.http_request import HTTP_REQUEST, HttpRequestHandler
from jobfleet_worker.handlers.registry import Handler, undeclared
from jobfleet_worker.outbound.http_client import HttpClient


def calling_handlers(
    client: HttpClient,
    clock: Clock,
    *,
    trail: AuditTrail,
    payloads: PayloadStore,
    coder: ValueCoder = NO_CODER,
) -> Sequence[Handler]:
    """Return them, bound to the client."""
    deliver = CallbackDeliverHandler(
        client=client, clock=clock, trail=trail, payloads=payloads, coder=coder
    )
    return [
        undeclared(HTTP_REQUEST, HttpRequestHandler(client=client).run),
        undeclared(EXTERNAL_CALL, ExternalCallHandler(client=client).run, waits=True),
        undeclared(CALLBACK_DELIVER, deliver.run),
    ]
