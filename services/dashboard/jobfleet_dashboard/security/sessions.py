"""A browser's login: a signed cookie that names the key it was opened with."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hmac import compare_digest
from uuid import uuid4

import structlog
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import Response

from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.ports import Clock, PayloadStore
from jobfleet_dashboard.security.api_keys import ApiKey, ApiKeys

SESSION_UNCHECKED = "session.unchecked"
COOKIE = "jobfleet_session"
MAX_AGE_SECONDS = 12 * 3600
LOOK_AGAIN_SECONDS = 2.0
"""How long another replica may take a session for open after its logout."""
_DIGEST_CHARACTERS = 16
_MAX_REMEMBERED = 10_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Session:
    """What a valid cookie says."""

    session_id: str
    key: ApiKey


class Sessions:
    """Opens, reads and ends sessions; a key that is removed or replaced ends its sessions.

    A logout stores a mark under the session's id, beside the jobs' large values, where all
    replicas look. This process refuses the cookie at once, another one after two seconds at most.
    """

    def __init__(
        self,
        *,
        secret: str | None,
        keys: ApiKeys,
        marks: PayloadStore,
        clock: Clock,
        root_path: str = "",
    ) -> None:
        self._path = root_path or "/"
        self._keys = keys
        self._marks = marks
        self._clock = clock
        self._ended: set[str] = set()
        self._looked: dict[str, float] = {}
        self._serializer = URLSafeTimedSerializer(
            secret or secrets.token_hex(32), salt="jobfleet.session"
        )

    def open(self, response: Response, key: ApiKey, *, secure: bool) -> None:
        """Set the cookie; ``secure`` where the request came over https."""
        token = self._serializer.dumps([key.name, key.digest[:_DIGEST_CHARACTERS], str(uuid4())])
        response.set_cookie(
            COOKIE,
            token,
            max_age=MAX_AGE_SECONDS,
            path=self._path,
            httponly=True,
            samesite="lax",
            secure=secure,
        )

    async def end(self, token: str) -> None:
        """End the session that the cookie stands for, on all replicas; log out again if unsure.

        Raises:
            BackendUnavailable: ended in this process, perhaps not at other replicas.
        """
        session = self._parse(token)
        if session is not None:
            self._ended.add(session.session_id)
            await self._marks.put(_mark(session.session_id), b"logged out")

    def take_cookie(self, response: Response) -> None:
        """Take the cookie away from the browser."""
        response.delete_cookie(COOKIE, path=self._path, httponly=True, samesite="lax")

    async def read(self, token: str) -> Session | None:
        """Return what the cookie stands for, ``None`` if it is forged, too old or logged out."""
        session = self._parse(token)
        if session is None or await self.has_ended(session):
            return None
        return session

    async def has_ended(self, session: Session) -> bool:
        """Whether the session was logged out, at whichever replica.

        While the store does not answer the session goes on: nothing can be read there either.
        """
        known = session.session_id
        now = self._clock.boottime()
        looked = self._looked.get(known)
        if known in self._ended or (looked is not None and now - looked < LOOK_AGAIN_SECONDS):
            return known in self._ended
        try:
            marked = await self._marks.get(_mark(known)) is not None
        except BackendError as error:
            _log.warning(SESSION_UNCHECKED, error=str(error))
            return False
        for remembered in (self._ended, self._looked):
            if len(remembered) > _MAX_REMEMBERED:
                remembered.clear()  # the marks are in the store
        self._looked[known] = now
        if marked:
            self._ended.add(known)
        return marked

    def _parse(self, token: str) -> Session | None:
        try:
            name, digest, session_id = self._serializer.loads(token, max_age=MAX_AGE_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        key = self._keys.named(str(name))
        if key is None or not compare_digest(key.digest[:_DIGEST_CHARACTERS], str(digest)):
            return None
        return Session(str(session_id), key)


def _mark(session_id: str) -> str:
    return f"{session_id}/logged-out"
