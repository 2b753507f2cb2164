"""The built-in handlers that call other servers; they share one client and its circuits."""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_worker.builtin.http_request import HTTP_REQUEST, HttpRequestHandler
from jobfleet_worker.handlers import Handler, describe
from jobfleet_worker.outbound.http_client import HttpClient


def calling_handlers(client: HttpClient) -> Sequence[Handler]:
    """Return them, bound to the client."""
    return [
        describe(HTTP_REQUEST, HttpRequestHandler(client=client).run),
    ]
