"""What goes on to the place that a redirect names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urljoin

from yarl import URL

from jobfleet_worker.outbound.http_call import HttpCall
from jobfleet_worker.outbound.refusals import TargetForbidden
from jobfleet_worker.outbound.target_guard import TargetGuard

REDIRECTS = frozenset({301, 302, 303, 307, 308})
SENT_TO_OTHERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""The headers that another origin gets: every other one may carry a credential."""
_SEE_OTHER = 303
_POST_BECOMES_GET = frozenset({301, 302})


def redirected(
    call: HttpCall, url: URL, *, status: int, location: str, guard: TargetGuard
) -> tuple[HttpCall, URL]:
    """Return the next call and its address.

    Browsers do it like this (Fetch, "HTTP-redirect fetch"). 303 makes every method but HEAD a GET.
    301 and 302 make POST a GET. A GET made so has no body. 307 and 308 keep method and body.

    Raises:
        TargetForbidden: jobs may not be led there.
    """
    try:
        target = guard.read(urljoin(str(url), location))
    except ValueError:
        raise TargetForbidden("redirected to something that is not a web address") from None
    except TargetForbidden as error:
        raise TargetForbidden(f"redirected to a forbidden address: {error}") from None
    if url.scheme == "https" and target.scheme != "https":
        raise TargetForbidden("redirected from https to http")
    if _drops_body(call.method, status):
        call = _without_body(call)
    if url.origin() != target.origin():
        call = _for_another_origin(call)
    return call, target


def _drops_body(method: str, status: int) -> bool:
    return status == _SEE_OTHER or (status in _POST_BECOMES_GET and method == "POST")


def _without_body(call: HttpCall) -> HttpCall:
    return replace(
        call,
        method="HEAD" if call.method == "HEAD" else "GET",
        body=None,
        headers=_without_content(call.headers),
        own_headers=_without_content(call.own_headers),
    )


def _without_content(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if not k.lower().startswith("content-")}


def _for_another_origin(call: HttpCall) -> HttpCall:
    """Drop the headers from the call itself, so that a way back does not bring them back."""
    return replace(
        call, headers=_for_others(call.headers), own_headers=_for_others(call.own_headers)
    )


def _for_others(headers: Mapping[str, str]) -> dict[str, str]:
    """A value that refers to a secret is left out, whatever its header is called."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() in SENT_TO_OTHERS and "${secret:" not in value
    }
