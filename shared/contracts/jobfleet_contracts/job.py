"""The job request: what a submitter says, checked once at the edge."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from heapq import nsmallest
from typing import Annotated, Any, Literal, Self, get_args

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from jobfleet_contracts.codec import format_time
from jobfleet_contracts.credentials import holds_credential, user_info_in
from jobfleet_contracts.encoded_value import MARK, digest_in
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.field_checks import (
    canonical_uuid,
    checked_time,
    each_once,
    one_line,
    plain_text,
    users_type,
    web_address,
)
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.job_bounds import (
    MAX_ATTEMPTS,
    MAX_RETRY_DELAY_SECONDS,
    MAX_TAKEOVER_LIMIT,
    MAX_TIMEOUT_SECONDS,
)
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.json_check import check_characters, check_json
from jobfleet_contracts.json_size import MAX_VALUES, JsonCounter
from jobfleet_contracts.lease import MAX_SLOTS

MAX_LOCK_KEY = 200
MAX_LIMITS = 3
"""Named limits of one job, beside its lock key."""
TYPE_PATTERN = re.compile(r"^[A-Za-z0-9_.-]{1,100}$")
QUEUE_PATTERN = re.compile(r"^[a-z0-9_-]{1,50}$")
LONGEST_DELAY_SECONDS = 10 * 365 * 86_400

_NAMES_SHOWN, _NAME_SHOWN = 10, 100

LimitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
Time = Annotated[datetime, BeforeValidator(checked_time), PlainSerializer(format_time)]
ONE_LINE = AfterValidator(one_line)
"""Stands behind a ``Field`` with lengths, which then counts characters and says so."""

JobName = Annotated[str, Field(max_length=200), ONE_LINE]
Priority = Annotated[int, Field(ge=0, le=9)]
QueueName = Annotated[str, Field(pattern=QUEUE_PATTERN.pattern)]
AttemptLimit = Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] | None
TimeLimit = Annotated[float, Field(gt=0, le=MAX_TIMEOUT_SECONDS, allow_inf_nan=False)] | None
OnLost = Literal["retry", "fail"] | None
LockKey = Annotated[str, Field(min_length=1, max_length=MAX_LOCK_KEY), ONE_LINE] | None
CallbackUrl = Annotated[str, Field(max_length=2000), ONE_LINE, AfterValidator(web_address)] | None

_WIRE = ConfigDict(
    frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
)


MAX_SUCCESSORS = 100
"""Limit for one request, those of its successors included."""


_EMPTY: dict[str, Any] = {"default": []}
"""The schema's default of a list that a factory makes: pydantic copies a default itself deeply for
each request, which is slow."""


class Follows(BaseModel):
    """The incarnation of a job after whose end jobfleet made this job. Only jobfleet sets it."""

    model_config = _WIRE

    job_id: str
    incarnation: int = Field(ge=1)


class Member(BaseModel):
    """The group that a job belongs to, and its place there. Only jobfleet sets it."""

    model_config = _WIRE

    group_id: str
    index: int = Field(ge=0)


class Then(BaseModel):
    """A job that jobfleet submits when the job before it has ended.

    Attributes:
        when: ``success`` after a job that completed, ``failure`` after one that failed, timed out
            or was cancelled, ``always`` after either.
        results: payload keys of this job, each with what the worker puts there at the start:
            ``previous``, the result of the job before; null if it did not complete.
            ``members``, after a group: the list of its members' results, in their order.
    """

    model_config = _WIRE

    type: Annotated[str, Field(pattern=TYPE_PATTERN.pattern), AfterValidator(users_type)]
    when: Literal["success", "failure", "always"] = "success"
    job_name: JobName = ""
    payload: Any = None
    results: dict[str, Literal["previous", "members"]] = Field(default={})
    priority: Priority = 5
    queue: QueueName = "default"
    max_attempts: AttemptLimit = None
    timeout_seconds: TimeLimit = None
    on_lost: OnLost = None
    lock_key: LockKey = None
    callback_url: CallbackUrl = None
    then: list[Then] = Field(default=[])

    @model_validator(mode="after")
    def _has_place_for_results(self) -> Self:
        if not self.results:
            return self
        if not isinstance(self.payload, dict | None):
            raise ValueError("results need a payload that is an object, or none")
        if taken := self.results.keys() & (self.payload or {}).keys():
            raise ValueError(f"results: {min(taken)} is in the payload already")
        if self.when == "failure":
            raise ValueError("results: a job that did not complete has none; use when 'always'")
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the wire form; unset fields are left out. Its values are shared: do not change."""
        given = self.model_fields_set
        fields = {wire: getattr(self, name) for name, wire in _STEP_NAMES if name in given}
        if self.then:
            fields["then"] = [each.to_json() for each in self.then]
        return fields


_STEP_NAMES = tuple((name, to_camel(name)) for name in Then.model_fields)
_STEP_KNOWN = frozenset(wire_name for _, wire_name in _STEP_NAMES)


class JobRequest(BaseModel):
    """One unit of work as its submitter describes it; unknown fields are refused.

    Attributes:
        job_id: identity; made at submit if the request has none.
        type: which handler runs it.
        job_name: what people read; the type if the request has none.
        payload: the handler's input, any JSON up to 1 MiB.
        priority: 0 to 9, higher first; 0-2 low, 3-6 normal, 7-9 high lane.
        run_at: in the future it makes the job scheduled.
        max_attempts: first run included; unset means the handler's or the fleet's default.
        retry_delay_seconds: base of the back-off; unset means the handler's or the fleet's
            default.
        timeout_seconds: time limit of one attempt.
        on_lost: ``retry`` starts a job whose worker was lost again; ``fail`` ends it, for a job
            that must not run twice. Unset means as the handler says, else ``retry``.
        max_takeovers: how many lost workers in a row a job survives; with ``fail`` none.
        lock_key: jobfleet starts one job of a key at a time, or ``lock_slots`` jobs. After a pause
            a handler that is being stopped may still overlap the next one.
        lock_slots: how many jobs of the lock key may run at the same time. Jobs of one key with
            another number are limited separately.
        limits: named limits, which operators set; the job starts when each has a slot for it.
        callback_url: receives the final result, signed.
        context: what came with the HTTP request that made the job; ``traceparent``.
        then: jobs to submit when this one has ended.
        follows: the job after whose end jobfleet made this one; no submitter may set it.
        results: payload keys that a worker fills from ``follows``, as :class:`Then` says.
        member: its place in a group; no submitter may set it.
    """

    model_config = _WIRE | ConfigDict(title="Job request, version 1")

    job_id: Annotated[
        str, AfterValidator(canonical_uuid), Field(json_schema_extra={"format": "uuid"})
    ] = Field(default_factory=new_id)
    type: str = Field(pattern=TYPE_PATTERN.pattern)
    job_name: JobName = ""
    description: Annotated[str, Field(max_length=2000), AfterValidator(plain_text)] = ""
    payload: Any = None
    input_file_path: Annotated[str, Field(max_length=2000), ONE_LINE] | None = None
    processing_parameters: dict[str, Any] | None = None
    priority: Priority = 5
    queue: QueueName = "default"
    created_at: Time = Field(default_factory=lambda: datetime.now(UTC))
    run_at: Time | None = None
    max_attempts: AttemptLimit = None
    retry_delay_seconds: float | None = Field(
        default=None, ge=0, le=MAX_RETRY_DELAY_SECONDS, allow_inf_nan=False
    )
    timeout_seconds: TimeLimit = None
    on_lost: OnLost = None
    max_takeovers: int | None = Field(default=None, ge=0, le=MAX_TAKEOVER_LIMIT)
    lock_key: LockKey = None
    lock_slots: int = Field(default=1, ge=1, le=MAX_SLOTS)
    limits: Annotated[list[LimitName], Field(max_length=MAX_LIMITS), AfterValidator(each_once)] = (
        Field(default_factory=list, json_schema_extra=_EMPTY)
    )
    callback_url: CallbackUrl = None
    context: dict[str, Any] | None = None
    then: list[Then] = Field(default_factory=list, json_schema_extra=_EMPTY)
    follows: SkipJsonSchema[Follows | None] = None
    results: SkipJsonSchema[dict[str, str]] = Field(default_factory=dict)
    member: SkipJsonSchema[Member | None] = None

    _delay_seconds: float | None = PrivateAttr(default=None)
    """What the caller asked for where ``run_at`` was made from it."""
    _clear_digest: str | None = PrivateAttr(default=None)
    """For an encoded request: the digest that it had before, as if a process without the codec had
    submitted it."""

    @classmethod
    def parse(cls, value: Any) -> JobRequest:
        """Check what a submitter sent.

        Args:
            value: decoded JSON; camelCase names. An optional field that is null counts as absent.

        Raises:
            InvalidRequest: names the first field that does not fit, and why. Texts at any depth
                hold no control characters but tabs and line breaks; all of them together have
                no more than 100,000 values and names. No URL holds user info.
        """
        request = cls._of_the_form(value)
        counter = JsonCounter()
        for field in ("payload", "processing_parameters", "context"):
            _check_content(getattr(request, field), to_camel(field), counter)
        _check_credentials(request, _WIRE_NAMES)
        for path, step in steps_of(request.then):
            _check_members(step, path, in_group=request.type == GROUP_TYPE and path.count(".") == 1)
            _check_content(step.payload, f"{path}.payload", counter)
            _check_credentials(step, _STEP_NAMES, f"{path}.")
        if request.lock_slots > 1 and request.lock_key is None:
            raise InvalidRequest("lockSlots: needs a lockKey beside it", field="lockSlots")
        if request.on_lost == "fail" and request.max_takeovers:
            message = "maxTakeovers: a job with onLost 'fail' survives no lost worker; leave it out"
            raise InvalidRequest(message, field="maxTakeovers")
        return request

    @classmethod
    def _of_the_form(cls, value: Any) -> JobRequest:
        if not isinstance(value, Mapping):
            raise InvalidRequest("the job request must be a JSON object", field="body")
        # Before the model looks: it makes an error of each unknown field, seconds for a megabyte.
        if unknown := value.keys() - _KNOWN:
            raise unknown_fields(unknown)
        _check_successors(value.get("then"))
        try:
            fields = {
                name: v for name, v in value.items() if v is not None or name not in _OPTIONAL
            }
            return cls.model_validate(fields, by_alias=True, by_name=False)
        except ValidationError as error:
            raise _first_problem(error) from error

    @classmethod
    def parse_known(
        cls, value: Mapping[str, Any], *, is_own: bool = False
    ) -> tuple[JobRequest, tuple[str, ...]]:
        """Check a stored request or a message, which a newer version may have written.

        Args:
            is_own: jobfleet has written it, so its contents were checked when it was submitted.

        Returns:
            The request without the fields that this version does not know, and their names. Who
            would run it must not: what such a field asks for is not known.

        Raises:
            InvalidRequest: a field that is known does not fit.
        """
        unknown = newer_fields(value)
        if unknown:
            value = {name: content for name, content in value.items() if name not in unknown}
        return cls._of_the_form(value) if is_own else cls.parse(value), unknown

    def starting_in(self, seconds: float, *, now: datetime) -> JobRequest:
        """Return the request with its start ``seconds`` after ``now``.

        The digest covers the delay and not the time that it led to, so the same call made
        later asks for the same job.

        Raises:
            InvalidRequest: the delay is negative, no number, or longer than ten years.
        """
        if not 0 <= seconds <= LONGEST_DELAY_SECONDS:  # false for NaN, too
            raise InvalidRequest("delay: must be seconds from 0 to ten years", field="delay")
        if seconds == 0:
            return self
        request = self.model_copy(update={"run_at": now + timedelta(seconds=seconds)})
        request._delay_seconds = float(seconds)
        return request

    def to_json(self) -> dict[str, Any]:
        """Return the wire form; unset fields are left out. Its values are shared: do not change."""
        given = self.model_fields_set
        fields = {wire: getattr(self, name) for name, wire in _WIRE_NAMES if name in given}
        if self.run_at is not None:
            fields["runAt"] = format_time(self.run_at)
        if self.then:
            fields["then"] = [each.to_json() for each in self.then]
        if self.follows is not None:
            fields["follows"] = self.follows.model_dump(by_alias=True)
        if self.member is not None:
            fields["member"] = self.member.model_dump(by_alias=True)
        return fields | {"jobId": self.job_id, "createdAt": format_time(self.created_at)}

    @property
    def has_followers(self) -> bool:
        """Whether more is to be written after the job's end: other jobs, or its mark."""
        return self.callback_url is not None or bool(self.then) or self.member is not None

    @property
    def name(self) -> str:
        """What people read."""
        return self.job_name or self.type

    def digest(self) -> str:
        """Return a hash of what was asked, the same for each repetition of one submit."""
        return self.digest_of_form(self.to_json())

    def digest_of_form(self, form: Mapping[str, Any]) -> str:
        """Return the digest; ``form`` is this request's wire form, which is not made again."""
        if self._delay_seconds is not None:
            form = {**form, "runAt": None, "delaySeconds": self._delay_seconds}
        return digest_of(form)

    def is_same_as(self, digest: str | None) -> bool:
        """Whether a stored digest is that of this request, encoded or in clear text."""
        return digest is not None and digest in (self.digest(), self._clear_digest)

    def encoded_from(self, clear: JobRequest) -> JobRequest:
        """Note on an encoded request what only the clear one can tell, and return it."""
        self._delay_seconds = clear._delay_seconds
        self._clear_digest = clear.digest()
        return self


_WIRE_NAMES = tuple((name, to_camel(name)) for name in JobRequest.model_fields)
_KNOWN = frozenset(wire_name for _, wire_name in _WIRE_NAMES)
_OPTIONAL = _KNOWN - {"type"}


def newer_fields(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names in a request's wire form that this version does not know, in order.

    ``then`` is one of them where a successor has a field that this version does not know.
    """
    unknown = {str(name) for name in stored.keys() - _KNOWN}
    if any(step.keys() - _STEP_KNOWN for _, step in _said_steps(stored.get("then"))):
        unknown.add("then")
    return tuple(sorted(unknown))


def digest_of(request: Mapping[str, Any]) -> str:
    """Return the digest of a request's wire form.

    Left out: identity, creation time, and what differs with each HTTP request.
    """
    asked = _by_digests({name: request[name] for name in request if name not in _NOT_ASKED})
    context = request.get("context") or {}
    if lasting := {name: value for name, value in context.items() if name not in VOLATILE_CONTEXT}:
        asked["context"] = lasting
    return sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _by_digests(request: dict[str, Any]) -> dict[str, Any]:
    """Put digests in the place of encoded values, which differ with each encoding."""
    digest = digest_in(request.get("payload"))
    if digest:
        request = request | {"payload": {MARK: digest}}
    elif digest == "" or request.get("payload") is None:
        request = {name: request[name] for name in request if name != "payload"}
    if request.get("then"):
        request = request | {"then": [_by_digests(dict(step)) for step in request["then"]]}
    return request


Lane = Literal["high", "normal", "low"]
LANES: tuple[Lane, ...] = get_args(Lane)
"""The lanes of each queue, the most urgent first."""
_LOW_UP_TO, _NORMAL_UP_TO = 2, 6
_NOT_ASKED = frozenset({"jobId", "createdAt", "context"})
VOLATILE_CONTEXT = frozenset({"headers", "requestId", "statusToken", "traceparent", "tracestate"})


def _check_values(counter: JsonCounter, field: str) -> None:
    if counter.values > MAX_VALUES:
        raise InvalidRequest(
            f"{field} holds more than {MAX_VALUES:,} values and names. "
            "Store it elsewhere and pass its address",
            field=field,
        )


def unknown_fields(names: Collection[str]) -> InvalidRequest:
    """Return the refusal of fields that do not exist; it names the first ten, each cut short."""
    first = [name[:_NAME_SHOWN] for name in nsmallest(_NAMES_SHOWN, map(str, names))]
    more = len(names) - len(first)
    listed = ", ".join(first) + (f" and {more:,} more" if more else "")
    return InvalidRequest(f"unknown field: {listed}", field=first[0])


def _check_content(content: Any, field: str, counter: JsonCounter) -> None:
    if content is not None:
        counter.feed(check_json(content, field=field))
        _check_values(counter, field)
        check_characters(content, field=field)


def _check_members(step: Then, path: str, *, in_group: bool) -> None:
    if "members" in step.results.values() and not in_group:
        message = "members: only a job that follows a group gets the results of its members"
        raise InvalidRequest(f"{path}.results: {message}", field=f"{path}.results")


def steps_of(then: Sequence[Then], path: str = "then") -> Iterator[tuple[str, Then]]:
    """Yield all successors with their places, as ``then.0.then.1``; each before its own."""
    for number, step in enumerate(then):
        yield f"{path}.{number}", step
        yield from steps_of(step.then, f"{path}.{number}.then")


def _said_steps(then: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield all successors in the wire form, with their places; what is none is passed over."""
    left = [("then", then)]
    while left:
        path, steps = left.pop()
        for number, step in enumerate(steps if isinstance(steps, list) else ()):
            if isinstance(step, Mapping):
                yield f"{path}.{number}", step
                left.append((f"{path}.{number}.then", step.get("then")))


def _check_successors(then: Any) -> None:
    """Refuse too many successors and unknown fields, before the model makes an error of each."""
    for count, (path, step) in enumerate(_said_steps(then), start=1):
        if count > MAX_SUCCESSORS:
            message = f"then: at most {MAX_SUCCESSORS} successors, those of successors included"
            raise InvalidRequest(message, field="then")
        if unknown := step.keys() - _STEP_KNOWN:
            raise unknown_fields([f"{path}.{name}" for name in nsmallest(_NAMES_SHOWN, unknown)])


def _check_credentials(
    request: JobRequest | Then, names: Sequence[tuple[str, str]], path: str = ""
) -> None:
    """Refuse credentials in URLs, and in what every list shows."""
    for name, field in names:
        if name == "then":
            continue  # each of them is checked for itself
        found = user_info_in(getattr(request, name), f"{path}{field}")
        if found is not None:
            raise InvalidRequest(
                f"{found} must not hold a user or password in its URL; "
                "send them in a header, as ${secret:NAME}",
                field=found,
            )
    for field, text in (("jobName", request.job_name), ("lockKey", request.lock_key)):
        if text and holds_credential(text):
            raise InvalidRequest(
                f"{path}{field}: seems to hold a credential, and every list shows this field; "
                "choose another text",
                field=f"{path}{field}",
            )


def _first_problem(error: ValidationError) -> InvalidRequest:
    problem = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "body"
    return InvalidRequest(f"{field}: {problem['msg'].removeprefix('Value error, ')}", field=field)


def lane_of(priority: int) -> Lane:
    """Return the lane of a priority: 0-2 ``low``, 3-6 ``normal``, 7-9 ``high``."""
    if priority > _NORMAL_UP_TO:
        return "high"
    return "low" if priority <= _LOW_UP_TO else "normal"
