"""A third party to try ``external.call`` with: takes requests, and calls back when it likes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from jobfleet_contracts.codec import decode, encode, parse_time
from jobfleet_contracts.errors import InvalidRequest, SettingsError
from jobfleet_protocol.actions.signing_keys import SigningKeys
from jobfleet_protocol.retry import back_off

HOST = "127.0.0.1"
AT_ONCE = 50
POST_SECONDS = 10.0
GIVE_UP_SECONDS = 300.0
"""How long a callback is repeated until the dashboard accepts it."""
LATE_BY_SECONDS = 1.0
_SERVER_TROUBLE = 500

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the third party behaves.

    Attributes:
        delay_seconds: before it calls back.
        fail_every: each so-many-th result is ``failed``; ``None``: none.
        late: calls back after the deadline.
        twice: sends each callback twice.
        bad_signature: signs with a secret that is not the shared one.
    """

    delay_seconds: float = 1.0
    fail_every: int | None = None
    late: bool = False
    twice: bool = False
    bad_signature: bool = False


class ThirdParty:
    """Answers 202 on every path; a request with a key that it knows is the same request."""

    def __init__(self, *, keys: SigningKeys, behaviour: Behaviour, say: Say) -> None:
        self._keys = SigningKeys(["not the shared secret"]) if behaviour.bad_signature else keys
        self._behaviour = behaviour
        self._say = say
        self._known: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self, port: int) -> int:
        """Listen on loopback and return the port.

        Raises:
            SettingsError: the port is in use.
        """
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POST_SECONDS))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port).start()
        except OSError as error:
            raise SettingsError(f"port {port} cannot be used: {error.strerror}") from error
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Take nothing more and drop the callbacks that are still to come."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _take(self, request: web.Request) -> web.Response:
        try:
            asked = decode(await request.read())
            job_id, callback_url = str(asked["jobId"]), str(asked["callbackUrl"])
            deadline = parse_time(asked["deadline"])
        except (InvalidRequest, KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": f"no request of external.call: {error}"}, status=400)
        key = request.headers.get("Idempotency-Key", job_id)
        if key not in self._known:
            self._known.add(key)
            answer = _body(job_id, asked.get("payload"), failed=self._is_to_fail())
            self._begin(job_id, callback_url, deadline, answer)
        return web.json_response({"accepted": job_id}, status=202)

    def _is_to_fail(self) -> bool:
        every = self._behaviour.fail_every
        return every is not None and len(self._known) % every == 0

    def _begin(self, job_id: str, url: str, deadline: datetime, body: bytes) -> None:
        task = asyncio.create_task(
            self._call_back(job_id, url, deadline, body), name=f"callback-{job_id}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call_back(self, job_id: str, url: str, deadline: datetime, body: bytes) -> None:
        wait = self._behaviour.delay_seconds
        if self._behaviour.late:
            left = (deadline - datetime.now(UTC)).total_seconds()
            wait = max(wait, left + LATE_BY_SECONDS)
        await asyncio.sleep(wait)
        for _ in range(2 if self._behaviour.twice else 1):
            answer = await self._post(job_id, url, body)
            self._say(f"{job_id} {answer}")

    async def _post(self, job_id: str, url: str, body: bytes) -> str:
        """Post until the dashboard accepts it, for five minutes."""
        answer = "not delivered"
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                for pause in back_off():
                    status = await self._try(job_id, url, body)
                    answer = "no answer" if status is None else str(status)
                    if status is not None and status < _SERVER_TROUBLE:
                        return answer
                    await asyncio.sleep(pause)
        except TimeoutError:
            pass
        return answer

    async def _try(self, job_id: str, url: str, body: bytes) -> int | None:
        assert self._session is not None
        headers = self._keys.sign(body, message_id=f"result-{job_id}", at=datetime.now(UTC))
        headers["Content-Type"] = "application/json"
        try:
            async with (
                self._slots,
                self._session.post(url, data=body, headers=headers) as response,
            ):
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


def _body(job_id: str, payload: Any, *, failed: bool) -> bytes:
    if failed:
        error = {"type": "ThirdPartyRefused", "message": "it did not work out"}
        return encode({"jobId": job_id, "status": "failed", "error": error})
    return encode({"jobId": job_id, "status": "completed", "payload": {"echo": payload}})
