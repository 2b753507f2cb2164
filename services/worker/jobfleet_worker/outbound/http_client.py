"""Makes one call: guarded, bounded in size and time, redirected only where asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from jobfleet_contracts.ports import Clock
from jobfleet_worker.outbound.circuit_breaker import CircuitBreaker
from jobfleet_worker.outbound.exchange import Exchange
from jobfleet_worker.outbound.guarded_connector import GuardedConnector, GuardedResolver
from jobfleet_worker.outbound.header_rules import HeaderRules
from jobfleet_worker.outbound.http_call import HttpAnswer, HttpCall
from jobfleet_worker.outbound.name_lookups import NameLookups
from jobfleet_worker.outbound.name_resolver import NameResolver
from jobfleet_worker.outbound.options import OutboundOptions
from jobfleet_worker.outbound.redaction import Redaction, credentials_in
from jobfleet_worker.outbound.redirects import REDIRECTS, redirected
from jobfleet_worker.outbound.refusals import TargetForbidden
from jobfleet_worker.outbound.secret_headers import SecretHeaders
from jobfleet_worker.outbound.target_guard import TargetGuard

MAX_REDIRECTS = 5
MAX_HEADER_BYTES = 64 * 1024
"""Limit of one header of an answer, and of the line with its status."""
_SERVER_TROUBLE = 500
_FAIR_SHARE = 0.9
"""Share of the default time. A server that we gave less time to answer is not judged for it."""
_AGENT = "jobfleet"


class HttpClient:
    """Calls other people's servers for jobs.

    Attributes:
        options: what may be called.
        circuits: state per host, for metrics and the heartbeat.

    Args:
        resolver: finds the addresses of names.
    """

    def __init__(
        self, *, options: OutboundOptions, clock: Clock, resolver: AbstractResolver | None = None
    ) -> None:
        self.options = options
        self.circuits = CircuitBreaker(
            failures=options.breaker_failures,
            open_seconds=options.breaker_open_seconds,
            probe_seconds=options.http_timeout_seconds,
            boottime=clock.boottime,
        )
        self._guard = TargetGuard(
            allowed_hosts=options.allowed_hosts,
            allow_private_targets=options.allow_private_targets,
        )
        self._rules = HeaderRules(allowed=options.allowed_headers, blocked=options.blocked_headers)
        self._secrets = SecretHeaders(options=options)
        self._lookups = NameLookups(source=resolver or NameResolver())

    def check(self, call: HttpCall) -> None:
        """Refuse at once what would be refused later, before anything is promised.

        Raises:
            TargetForbidden: address, header or secret.
            CircuitOpen: the host has failed too often recently.
        """
        url = self._guard.read(call.url)
        self._headers(call, url)
        self.circuits.check(_origin(url))

    async def call(self, call: HttpCall) -> HttpAnswer:
        """Send it and return the answer, whatever its status.

        Raises:
            TargetForbidden: nothing was sent, or a redirect was not followed.
            CallFailed: no whole answer; the target may have got the call all the same.
            CircuitOpen, LookupsBusy: nothing was sent.
        """
        began = time.monotonic()
        self._rules.check(call.headers)  # before the redaction: it has work with each credential
        url = self._guard.read(call.url)
        credentials = self._secrets.sendable_to(url) | _written_in(call)
        redaction = Redaction(credentials)
        for hop in range(MAX_REDIRECTS + 1):
            left = call.timeout_seconds - (time.monotonic() - began)
            exchange = Exchange(call, url, max(left, 0.001), began, redaction)
            answer, location = await self._hop(exchange)
            if location is None or not call.follow_redirects:
                return answer if hop == 0 else replace(answer, url=redaction.apply(str(url)))
            call, url = redirected(
                call, url, status=answer.status, location=location, guard=self._guard
            )
            # Added, not replaced: what the host before knows can stand in the new address, and the
            # next host may echo that.
            credentials |= self._secrets.sendable_to(url)
            redaction = Redaction(credentials)
        raise TargetForbidden(f"more than {MAX_REDIRECTS} redirects")

    async def _hop(self, exchange: Exchange) -> tuple[HttpAnswer, str | None]:
        url = exchange.url
        headers = self._headers(exchange.call, url)
        resolver = GuardedResolver(
            guard=self._guard, lookups=self._lookups, job_type=exchange.call.job_type
        )
        with self.circuits.call(_origin(url)) as is_well:
            try:
                answer, location = await self._send(exchange, headers, resolver)
            except TimeoutError:
                if self._had_its_time(exchange, resolver.seconds):
                    is_well(False)
                limit = exchange.call.timeout_seconds
                raise exchange.failure(
                    f"no whole answer from {_origin(url)} within {limit:g} s"
                ) from None
            except aiohttp.ClientConnectorDNSError as error:
                raise exchange.failure(str(error.os_error)) from None
            except aiohttp.InvalidURL as error:
                raise TargetForbidden(f"no web address: {error}") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                is_well(False)
                raise exchange.failure(f"{_origin(url)}: {_error_text(error)}") from None
            is_well(answer.status < _SERVER_TROUBLE)
        return answer, location

    def _had_its_time(self, exchange: Exchange, name_seconds: float) -> bool:
        """Whether the host could have answered: a job must not make it look unwell."""
        default = self.options.http_timeout_seconds
        share = exchange.seconds - name_seconds
        return exchange.call.timeout_seconds >= default and share >= _FAIR_SHARE * default

    async def _send(
        self, exchange: Exchange, headers: Mapping[str, str], resolver: GuardedResolver
    ) -> tuple[HttpAnswer, str | None]:
        async with aiohttp.ClientSession(
            connector=GuardedConnector(guard=self._guard, resolver=resolver),
            timeout=aiohttp.ClientTimeout(total=exchange.seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Content-Type", "Accept-Encoding"),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        ) as session:
            # Sentry and OpenTelemetry give every session of the process a trace config, which adds
            # headers about this fleet. A job's target must not get them.
            session.trace_configs.clear()
            async with session.request(
                exchange.call.method,
                exchange.url,
                headers=headers,
                data=exchange.call.body,
                allow_redirects=False,
            ) as response:
                answer = await exchange.answer(response)
                is_redirect = response.status in REDIRECTS
                return answer, response.headers.get("Location") if is_redirect else None

    def _headers(self, call: HttpCall, url: URL) -> dict[str, str]:
        """Check the job's headers, fill in secrets, and let our own stand over them."""
        self._rules.check(call.headers)
        filled = self._secrets.fill(call.headers, url)
        HeaderRules().check(filled)
        ours = {name.lower() for name in call.own_headers}
        kept = {name: value for name, value in filled.items() if name.lower() not in ours}
        named = {name.lower() for name in kept}
        defaults = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
        missing = {name: v for name, v in defaults.items() if name.lower() not in named}
        return {**missing, **kept, **call.own_headers}


def _written_in(call: HttpCall) -> frozenset[str]:
    """Return the credentials that the job itself holds."""
    return frozenset(credentials_in({**call.headers, **call.own_headers}))


def _origin(url: URL) -> str:
    return f"{url.raw_host}:{url.port}"


def _error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
