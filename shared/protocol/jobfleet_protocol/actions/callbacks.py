"""A third party's result: accepted once, while its job waits for it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NoReturn

import structlog
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from jobfleet_contracts.codec import decode, refuse_repeated_names
from jobfleet_contracts.encoded_value import encoded_in, is_encoded
from jobfleet_contracts.errors import (
    ActionRefused,
    BackendError,
    BadSignature,
    InvalidRequest,
    KeyUnavailable,
    UnknownJob,
)
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.json_check import check_characters, check_json
from jobfleet_contracts.ports import AuditTrail, Clock, PayloadStore
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.answer_limit import answered
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.actions.signing_keys import StreamedSignature
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.actions.target_keys import TargetKeys
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.trail.erased_values import holds_no_request
from jobfleet_protocol.trail.large_data import resolve
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_protocol.trail.transitions import Change, draft

CALLBACK_ACCEPTED = "callback.accepted"
CALLBACK_REFUSED = "callback.refused"

_KINDS = {
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
}

_REFUSED_STEP = 2
"""Step 1 of a waiting job says that the third party has the request."""
_MOST_REFUSALS = 20
"""Noted in one wait of a job: each is a row of the trail, which stands for good."""
CALLBACK_FOLLOW_UP_FAILED = "callback.follow_up_failed"

_log = structlog.get_logger()


class CallbackBody(BaseModel):
    """What a third party says; fields of its own beside these are left out.

    Attributes:
        payload: the job's result, if it completed.
        error: text or ``{"type", "message"}``, if it failed.
    """

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    job_id: str
    status: str = Field(pattern="^(completed|failed|cancelled)$")
    message: str | None = Field(default=None, max_length=100_000)
    payload: JsonValue = None
    error: JsonValue = None

    @classmethod
    def parse(cls, body: bytes) -> CallbackBody:
        """Read the body.

        Raises:
            InvalidRequest: names the field that does not fit.
        """
        value = decode(body)
        refuse_repeated_names(body)
        try:
            check_json(value, field="body", limit=None)
            parsed = cls.model_validate(value, strict=True)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            field = str(problem["loc"][0]) if problem["loc"] else "body"
            raise InvalidRequest(f"{field}: {problem['msg']}", field=field) from None
        for name in ("message", "payload", "error"):
            check_characters(getattr(parsed, name), field=name)
            if (path := encoded_in(getattr(parsed, name), name)) is not None:
                raise InvalidRequest(
                    f"{path} holds $encoded, the form of encoded values", field=path
                )
        return parsed


@dataclass(frozen=True, slots=True)
class Received:
    """The job's state after a callback; ``repeated`` if the same one had come before."""

    job_id: str
    state: State
    repeated: bool = False


class Callbacks:
    """Takes third parties' results.

    A party that holds one of the fleet's secrets may answer for any waiting job, but not for jobs
    of targets with secrets of their own. A party that holds a target's secret may answer for the
    jobs of that target only.
    """

    def __init__(
        self,
        *,
        trail: AuditTrail,
        payloads: PayloadStore,
        writer: TrailWriter,
        ending: Ending,
        clock: Clock,
        keys: TargetKeys,
        seal: FleetSeal,
        coder: ValueCoder = NO_CODER,
    ) -> None:
        self._coder = coder
        self._seal = seal
        self._trail = trail
        self._payloads = payloads
        self._writer = writer
        self._ending = ending
        self._clock = clock
        self._keys = keys

    @property
    def has_targets(self) -> bool:
        """Whether any target has a secret of its own."""
        return self._keys.has_targets

    def check_signature(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Look at nothing else before this: what is not signed learns nothing.

        Args:
            body: as it came, byte for byte.

        Raises:
            BadSignature: whatever the job, and whatever is wrong.
        """
        if not self._keys.all.verify(body, headers):
            self.refuse_unsigned()

    def streamed_signature(self, headers: Mapping[str, str]) -> StreamedSignature:
        """Return the check of a body that is too large to keep."""
        return self._keys.all.streamed(headers, at=self._clock.now())

    def refuse_unsigned(self) -> NoReturn:
        """Refuse a callback whose signature is wrong or missing.

        Raises:
            BadSignature: always.
        """
        _log.warning(CALLBACK_REFUSED, reason="bad signature")
        raise BadSignature("the callback carries no valid signature")

    def check_address(self, job_id: str, incarnation: int, token: str | None) -> None:
        """Check the token that the address of a later incarnation must carry.

        A signed body of the first incarnation would else end the second one, too. The first
        needs no token: nothing was signed before it.

        Raises:
            BadSignature: it is missing, or another address's; says nothing of the job.
        """
        if token is None and incarnation == 1:
            return
        if token is None or not self._keys.all.is_address(token, job_id, incarnation):
            _log.warning(CALLBACK_REFUSED, job_id=job_id, reason="bad token in the address")
            raise BadSignature(
                "the address is not the callbackUrl of this request: post to it unchanged"
            )

    async def check_sender(self, job_id: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Check that a signed callback comes from the target of the job that it names.

        Raises:
            BadSignature: it is signed with another target's secret.
            CodecError: the target stands in the job's payload, which cannot be decoded here.
            BackendUnavailable: the trail does not answer.
        """
        if not self._keys.has_targets:
            return
        opening = await self._trail.read(job_id, 1)
        if opening is None or holds_no_request(opening):
            return
        stored = request_of(await resolve(opening, self._payloads))
        request = self._coder.clear_request(stored)
        if not self._keys.of_request(request).verify(body, headers):
            self.refuse_unsigned()

    async def receive(self, job_id: str, incarnation: int, body: bytes) -> Received:
        """Write what a signed callback says.

        Raises:
            InvalidRequest: the body does not fit, or names another job.
            UnknownJob: no trail.
            ActionRefused: the job does not wait, or for another incarnation's result.
            FleetSealed: the fleet is sealed: send the same again, to the fleet that it became.
            CodecError: the job is encoded, and this process cannot encode the result.
            BackendUnavailable: the trail did not answer in 8 s: send the same again.
        """
        parsed = CallbackBody.parse(body)
        if parsed.job_id.lower() != job_id:
            raise InvalidRequest(
                "jobId: the body names another job than the address", field="jobId"
            )
        return await answered(
            self._receive(job_id, incarnation, parsed, sha256(body).hexdigest()),
            name=f"callback-{job_id}",
            unclear="send the same again",
        )

    async def note_refusal(self, job_id: str, incarnation: int, digest: str, reason: str) -> None:
        """Log, and write into a waiting job's trail, that a signed answer came and was refused.

        The same body again, recognized by its SHA-256 in hex, adds nothing. Storage in trouble
        costs the event, not the log line.
        """
        _log.warning(CALLBACK_REFUSED, job_id=job_id, reason=reason)
        with contextlib.suppress(BackendError):
            await answered(
                self._note_refusal(job_id, incarnation, digest, reason),
                name=f"refusal-{job_id}",
                unclear="the refusal may be written later",
            )

    async def _note_refusal(self, job_id: str, incarnation: int, digest: str, reason: str) -> None:
        head = await self._trail.newest(job_id)
        if head is None or head.after.state is not State.WAITING:
            return
        before = head.data.get("refused", {})
        number = before.get("number", 0) + 1
        known = before.get("digest") == digest
        if known or number > _MOST_REFUSALS or head.after.incarnation != incarnation:
            return
        change = Change(
            kind=Status.STEP,
            step=_REFUSED_STEP,
            message=f"an answer came and was refused: {reason}",
            data={
                "step": _REFUSED_STEP,
                "refused": {"digest": digest, "reason": reason, "number": number},
            },
        )
        event = draft(head, head.facts, change, occurred_at=self._clock.now())
        await self._writer.append([event])

    async def _receive(
        self, job_id: str, incarnation: int, result: CallbackBody, digest: str
    ) -> Received:
        await self._seal.check()
        await self._check_coder(job_id)
        while True:
            head = await self._trail.newest(job_id)
            if head is None:
                raise UnknownJob(f"no job {job_id}")
            if head.facts.job_type == GROUP_TYPE:
                raise ActionRefused(f"job {job_id} is a group, which waits for no callback")
            if head.after.incarnation != incarnation:
                raise ActionRefused(
                    f"job {job_id} is in incarnation {head.after.incarnation}; "
                    f"this callback is for {incarnation}"
                )
            if head.after.state is not State.WAITING:
                return await self._after_the_wait(head, digest)
            change = _change(result, digest, self._coder)
            event = draft(head, head.facts, change, occurred_at=self._clock.now())
            if await self._writer.append([event]) is None:
                await self._seal.check()
                _log.info(CALLBACK_ACCEPTED, job_id=job_id, state=event.after.state.value)
                await self._conclude(event)
                return Received(job_id, event.after.state)

    async def _check_coder(self, job_id: str) -> None:
        """Store no clear text of a job whose values are encoded."""
        if self._coder.encodes:
            return
        opening = await self._trail.read(job_id, 1)
        if opening is None or holds_no_request(opening):
            return
        if is_encoded(request_of(await resolve(opening, self._payloads)).payload):
            raise KeyUnavailable(
                f"job {job_id} is encrypted, and this process has no codec for the result: set "
                "JOBFLEET_PAYLOAD_CODEC, then send the same again"
            )

    async def _after_the_wait(self, head: Event, digest: str) -> Received:
        """Tell a repetition, which adds nothing, from a result that comes too late."""
        state = head.after.state
        if not state.is_terminal:
            raise ActionRefused(f"job {head.job_id} is {state.value}; it waits for no callback")
        ended = head
        if head.kind is Status.DISMISSED:
            ended = await self._trail.read(head.job_id, head.sequence - 1) or head
        known = (await resolve(ended, self._payloads)).data.get("callback", {})
        if known.get("digest") != digest:
            raise ActionRefused(f"job {head.job_id} is {state.value} already")
        await self._seal.check()
        return Received(head.job_id, state, repeated=True)

    async def _conclude(self, event: Event) -> None:
        """The result stands; what storage refuses now is left to the rescuer."""
        try:
            await self._ending.conclude(event)
        except BackendError as error:
            _log.warning(CALLBACK_FOLLOW_UP_FAILED, job_id=event.job_id, error=str(error))


def _change(result: CallbackBody, digest: str, coder: ValueCoder) -> Change:
    return Change(
        kind=_KINDS[result.status],
        message=coder.message(result.message or "") or f"the third party reports: {result.status}",
        data=coder.details(_data(result))
        | {"callback": {"digest": digest, "status": result.status}},
    )


def _data(result: CallbackBody) -> dict[str, Any]:
    if result.status == "completed":
        return {"result": result.payload}
    error = result.error if isinstance(result.error, Mapping) else {"message": result.error}
    message = error.get("message") or result.message or f"the third party reports: {result.status}"
    fields = {
        "type": str(error.get("type") or "ThirdParty")[:200],
        "message": str(message),
        "traceback": str(error.get("traceback") or ""),
    }
    return {"error": fields} | ({} if result.payload is None else {"payload": result.payload})
