"""Makes one call: guarded, bounded in size and time, redirected only where asked."""

from __future__ import annotations

import codecs
import time
from collections.abc import Mapping
from dataclasses import replace

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from jobfleet_contracts.credentials import HIDDEN, SENSITIVE_HEADERS
from jobfleet_contracts.ports import Clock
from jobfleet_worker.outbound.circuit_breaker import CircuitBreaker
from jobfleet_worker.outbound.guarded_connector import GuardedConnector
from jobfleet_worker.outbound.header_rules import HeaderRules
from jobfleet_worker.outbound.http_call import MAX_KEPT_BYTES, HttpAnswer, HttpCall
from jobfleet_worker.outbound.options import OutboundOptions
from jobfleet_worker.outbound.refusals import CallFailed, TargetForbidden
from jobfleet_worker.outbound.secret_headers import SecretHeaders
from jobfleet_worker.outbound.target_guard import TargetGuard

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})
_SERVER_TROUBLE = 500
_AGENT = "jobfleet"
_SLOW_CODECS = frozenset({"idna", "punycode"})
"""No character sets, but Python would decode with them: a minute for what is kept of an answer."""


class HttpClient:
    """Calls other people's servers for jobs.

    Attributes:
        options: what may be called.
        circuits: state per host, for metrics and the heartbeat.

    Args:
        resolver: finds the addresses of names; the system's where none is given.
    """

    def __init__(
        self, *, options: OutboundOptions, clock: Clock, resolver: AbstractResolver | None = None
    ) -> None:
        self.options = options
        self.circuits = CircuitBreaker(
            failures=options.breaker_failures,
            open_seconds=options.breaker_open_seconds,
            boottime=clock.boottime,
        )
        self._guard = TargetGuard(
            allowed_hosts=options.allowed_hosts,
            allow_private_targets=options.allow_private_targets,
        )
        self._rules = HeaderRules(allowed=options.allowed_headers, blocked=options.blocked_headers)
        self._secrets = SecretHeaders(secrets=options.secrets)
        self._resolver = resolver

    def check(self, call: HttpCall) -> None:
        """Refuse at once what would be refused later, before anything is promised.

        Raises:
            TargetForbidden: address, header or secret.
            CircuitOpen: the host has failed too often of late.
        """
        url = self._guard.read(call.url)
        self._headers(call, url)
        self.circuits.check(_origin(url))

    async def call(self, call: HttpCall) -> HttpAnswer:
        """Send it and return the answer, whatever its status.

        Raises:
            TargetForbidden: nothing was sent, or a redirect was not followed.
            CallFailed: no whole answer; the target may have got the call all the same.
            CircuitOpen: nothing was sent.
        """
        began = time.monotonic()
        url = self._guard.read(call.url)
        for hop in range(MAX_REDIRECTS + 1):
            left = call.timeout_seconds - (time.monotonic() - began)
            answer, location = await self._hop(call, url, max(left, 0.001), began)
            if location is None or not call.follow_redirects:
                return answer if hop == 0 else replace(answer, url=self._shown(url))
            call, url = self._redirected(call, url, answer.status, location)
        raise TargetForbidden(f"more than {MAX_REDIRECTS} redirects")

    async def _hop(
        self, call: HttpCall, url: URL, seconds: float, began: float
    ) -> tuple[HttpAnswer, str | None]:
        headers = self._headers(call, url)
        with self.circuits.call(_origin(url)) as is_well:
            try:
                answer, location = await self._send(call, url, headers, seconds, began)
            except TimeoutError:
                raise self._failure(
                    f"no whole answer from {_origin(url)} within {call.timeout_seconds:g} s", began
                ) from None
            except aiohttp.InvalidURL as error:
                raise TargetForbidden(f"no web address: {error}") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise self._failure(f"{_origin(url)}: {_said(error)}", began) from None
            is_well(answer.status < _SERVER_TROUBLE)
        return answer, location

    async def _send(
        self, call: HttpCall, url: URL, headers: Mapping[str, str], seconds: float, began: float
    ) -> tuple[HttpAnswer, str | None]:
        async with (
            aiohttp.ClientSession(
                connector=GuardedConnector(guard=self._guard, source=self._resolver),
                timeout=aiohttp.ClientTimeout(total=seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept-Encoding"),
            ) as session,
            session.request(
                call.method, url, headers=headers, data=call.body, allow_redirects=False
            ) as response,
        ):
            body, truncated = await _read(response)
            answer = HttpAnswer(
                status=response.status,
                headers=self._answer_headers(response),
                body=self._secrets.redact(_decode(body, response.charset)),
                duration_ms=_milliseconds(began),
                truncated=truncated,
            )
            redirected = response.status in _REDIRECTS
            return answer, response.headers.get("Location") if redirected else None

    def _headers(self, call: HttpCall, url: URL) -> dict[str, str]:
        """Check the job's headers, fill in secrets, and let our own stand over them."""
        self._rules.check(call.headers)
        filled = self._secrets.fill(call.headers, listed=self._guard.lists(url))
        HeaderRules().check(filled)
        ours = {name.lower() for name in call.own_headers}
        kept = {name: value for name, value in filled.items() if name.lower() not in ours}
        named = {name.lower() for name in kept}
        defaults = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
        missing = {name: v for name, v in defaults.items() if name.lower() not in named}
        return {**missing, **kept, **call.own_headers}

    def _redirected(
        self, call: HttpCall, url: URL, status: int, location: str
    ) -> tuple[HttpCall, URL]:
        """Return the next call; another origin is told nothing that was meant for this one."""
        try:
            target = url.join(URL(location))
        except ValueError:
            raise TargetForbidden("redirected to what is no web address") from None
        try:
            self._guard.check(target)
        except TargetForbidden as error:
            raise TargetForbidden(f"redirected to a forbidden address: {error}") from None
        if url.scheme == "https" and target.scheme != "https":
            raise TargetForbidden("redirected from https to http")
        if status not in _KEEPS_METHOD and call.method not in ("GET", "HEAD"):
            call = replace(call, method="GET", body=None, headers=_without_content(call.headers))
        if _origin(target) != _origin(url):
            call = replace(call, headers=self._without_secrets(call.headers))
        return call, target

    def _without_secrets(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {
            name: value
            for name, value in headers.items()
            if name.lower() not in SENSITIVE_HEADERS and not self._secrets.names_any(value)
        }

    def _answer_headers(self, response: aiohttp.ClientResponse) -> dict[str, str]:
        """Return the headers as text that JSON can hold; several of one name are joined."""
        shown: dict[str, str] = {}
        for each, value in response.headers.items():
            name = str(each)  # aiohttp's own kind of string is none that JSON takes as a key
            text = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            text = HIDDEN if name.lower() in SENSITIVE_HEADERS else self._secrets.redact(text)
            shown[name] = f"{shown[name]}, {text}" if name in shown else text
        return shown

    def _shown(self, url: URL) -> str:
        return self._secrets.redact(str(url))

    def _failure(self, message: str, began: float) -> CallFailed:
        text = self._secrets.redact(message)
        response = {"statusCode": None, "error": text, "durationMs": _milliseconds(began)}
        return CallFailed(text, details={"response": response})


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """Return the body up to what is kept; the connection is closed on the rest."""
    kept = bytearray()
    async for chunk in response.content.iter_any():
        kept += chunk
        if len(kept) > MAX_KEPT_BYTES:
            return bytes(kept[:MAX_KEPT_BYTES]), True
    return bytes(kept), False


def _decode(body: bytes, charset: str | None) -> str:
    try:
        name = codecs.lookup(charset or "utf-8").name
        text = body.decode("utf-8" if name in _SLOW_CODECS else name, "replace")
    except (LookupError, ValueError):
        text = body.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode("utf-8")


def _origin(url: URL) -> str:
    return f"{url.raw_host}:{url.port}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _without_content(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if not k.lower().startswith("content-")}
