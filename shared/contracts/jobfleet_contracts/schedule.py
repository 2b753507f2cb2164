"""What recurs: a job request without a time of its own, and the rule that says when it is due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

import orjson
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.control import check_control_name
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.internal_job import check_submitted
from jobfleet_contracts.job import JobRequest, Time

Overlap = Literal["skip", "queue", "allow"]
CatchUp = Literal["none", "last", "all"]

LONGEST_INTERVAL = 366 * 86_400
LONGEST_JITTER = 86_400
MAX_DECLARATION_BYTES = 15_000
"""Each entry of a schedule's log holds two: what is in force, and what code declared last."""
SET_BY_SCHEDULE = ("jobId", "createdAt", "runAt", "idempotencyKey", "delaySeconds")
"""Fields of a job request that a schedule gives its jobs itself."""
_DAY_OF_CHECK = datetime(2026, 1, 1, tzinfo=UTC)


class ScheduleRule(BaseModel):
    """When a schedule is due, and what happens to ticks that were missed or overlap.

    Attributes:
        cron: five fields (minute first), or six with seconds first. Names, ranges, steps, ``L``,
            ``LW`` and ``#`` are understood. Debian's rules hold when clocks change.
        every_seconds: a fixed interval, counted from ``start``, else from the first declaration.
        timezone: IANA name; the cron fields are read in it.
        start: no tick lies before it.
        overlap: what happens while the previous tick's job has not ended. ``skip``: the tick is
            skipped, and the control log records it. ``queue``: the jobs share a lock key.
            ``allow``: both run. The default is ``skip``, and ``queue`` with ``catch_up="all"``:
            missed ticks fire together, and ``skip`` would drop all but the first.
        catch_up: ticks that were not fired in time. ``none``: they are skipped, and the control log
            records it. ``last``: the newest one runs. ``all``: up to 100 run.
        jitter_seconds: the schedule fires up to this long after each tick, always by the same
            amount, which comes from its name.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
    )

    cron: str | None = Field(default=None, max_length=200)
    every_seconds: float | None = Field(
        default=None, ge=1, le=LONGEST_INTERVAL, allow_inf_nan=False
    )
    timezone: str = Field(default="UTC", max_length=100)
    start: Time | None = None
    overlap: Overlap = "skip"
    catch_up: CatchUp = "last"
    jitter_seconds: float = Field(default=0.0, ge=0, le=LONGEST_JITTER, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _all_missed_ticks_fire(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("catchUp") == "all":
            return {"overlap": "queue", **given}
        return given

    @model_validator(mode="after")
    def _fires(self) -> Self:
        if (self.cron is None) == (self.every_seconds is None):
            raise ValueError("name either cron or everySeconds, and not both")
        zone = _zone(self.timezone)
        if self.cron is not None:
            _first_tick(self.cron, zone)
        return self


class Schedule:
    """A named schedule: when it is due, and the job that each tick makes.

    ``Schedule(name="daily", type="report", cron="0 6 * * *", timezone="Europe/Berlin")``. Every
    field of a job request but its id and times may be given, in snake case.

    Raises:
        InvalidRequest: names the field that does not fit, and why.
    """

    name: str
    rule: ScheduleRule
    job: Mapping[str, Any]

    def __init__(
        self,
        *,
        name: str,
        type: str,  # noqa: A002 - named as the field of a job request
        every: timedelta | None = None,
        jitter: timedelta | None = None,
        **fields: Any,
    ) -> None:
        for field, span in (("every", every), ("jitter", jitter)):
            if span is not None:
                fields[f"{field}_seconds"] = _seconds(field, span)
        wire = {to_camel(field): value for field, value in fields.items()}
        parsed = Schedule.parse(name, {"type": type} | wire)
        self.name, self.rule, self.job = parsed.name, parsed.rule, parsed.job

    @classmethod
    def parse(cls, name: str, value: Any) -> Schedule:
        """Check a declaration as JSON: the rule's and the job request's fields side by side.

        Raises:
            InvalidRequest: names the first field that does not fit, and why.
        """
        check_control_name(name, what="name")
        if not isinstance(value, Mapping):
            raise InvalidRequest("the schedule must be a JSON object", field="body")
        for field in SET_BY_SCHEDULE:
            if value.get(field) is not None:
                raise InvalidRequest(f"{field}: leave it out; the schedule sets it", field=field)
        given = {field: v for field, v in value.items() if v is not None}
        rule = {field: given.pop(field) for field in _RULE_FIELDS & given.keys()}
        request = JobRequest.parse(given)
        check_submitted(request)
        job = request.to_json()
        for field in SET_BY_SCHEDULE:
            job.pop(field, None)
        self = cls.__new__(cls)
        self.name, self.rule, self.job = name, _parse_rule(rule), decode(encode(job))
        if self.rule.overlap == "queue" and request.lock_slots > 1:
            raise InvalidRequest(
                f"lockSlots: with overlap 'queue' jobs run one after the other, and "
                f"{request.lock_slots} slots would let them overlap; leave lockSlots out, or "
                "choose overlap 'allow'",
                field="lockSlots",
            )
        size = len(encode(self.to_json()))
        if size > MAX_DECLARATION_BYTES:
            raise InvalidRequest(
                f"payload: the declaration has {size:,} bytes as JSON, at most "
                f"{MAX_DECLARATION_BYTES:,} are allowed; store large inputs elsewhere and pass an "
                "address",
                field="payload",
            )
        return self

    @classmethod
    def from_json(cls, name: str, value: Mapping[str, Any]) -> Schedule:
        """Return a schedule from its stored form, which was checked when it was stored."""
        return cls.parse(name, value)

    def to_json(self) -> dict[str, Any]:
        """Return the wire form, without the name and without fields that were not given."""
        rule = self.rule.model_dump(by_alias=True, exclude_defaults=True, mode="json")
        if self.rule.catch_up == "all":
            rule["overlap"] = self.rule.overlap  # its default differs there
        return {**self.job, **rule}

    @property
    def when(self) -> str:
        """The rule in a few words: ``0 6 * * * Europe/Berlin`` or ``every 30 s``."""
        if self.rule.cron is None:
            return f"every {self.rule.every_seconds:g} s"
        return f"{self.rule.cron} {self.rule.timezone}"

    def digest(self) -> str:
        """Return a hash of the whole declaration."""
        return sha256(orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)).hexdigest()

    def same_times(self, other: Schedule) -> bool:
        """Whether both are due at the same times, if both begin to count at the same time."""
        mine, others = self.rule, other.rule
        return (mine.cron, mine.every_seconds, mine.timezone, mine.start) == (
            others.cron,
            others.every_seconds,
            others.timezone,
            others.start,
        )

    def ticks(self, after: datetime, *, anchor: datetime) -> Iterator[datetime]:
        """Yield the times in UTC strictly after ``after``, without end if there is none.

        Args:
            anchor: where a fixed interval counts from, unless the rule has a start.
        """
        rule = self.rule
        begin = rule.start or anchor
        if rule.every_seconds is not None:
            yield from _multiples(begin, timedelta(seconds=rule.every_seconds), after)
            return
        assert rule.cron is not None
        if rule.start is not None and after < rule.start:
            after = rule.start - timedelta(seconds=1)
        for tick in CronSim(rule.cron, after.astimezone(_zone(rule.timezone))):
            yield tick.astimezone(UTC)

    def due_at(self, tick: datetime) -> datetime:
        """Return when the tick fires: later than the tick by this schedule's own jitter."""
        if not self.rule.jitter_seconds:
            return tick
        share = int.from_bytes(sha256(self.name.encode()).digest()[:8]) / 2**64
        return tick + timedelta(seconds=share * self.rule.jitter_seconds)


_RULE_FIELDS = frozenset(to_camel(name) for name in ScheduleRule.model_fields)


def _seconds(field: str, span: Any) -> float:
    if not isinstance(span, timedelta):
        raise InvalidRequest(f"{field}: is {span!r}; write timedelta(seconds=30)", field=field)
    return span.total_seconds()


def _multiples(begin: datetime, every: timedelta, after: datetime) -> Iterator[datetime]:
    passed = (after - begin) // every + 1 if after >= begin else 0
    while True:
        yield begin + passed * every
        passed += 1


def _parse_rule(value: Mapping[str, Any]) -> ScheduleRule:
    try:
        return ScheduleRule.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, problem["loc"])) or _field_of(problem["msg"])
        message = problem["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{field}: {message}", field=field) from error


def _field_of(message: str) -> str:
    return next((field for field in ("timezone", "cron") if f" {field}" in message), "cron")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"no timezone {name[:100]!r} is known; use an IANA name such as Europe/Berlin"
        ) from None


def _first_tick(cron: str, zone: ZoneInfo) -> datetime:
    """Return the first tick after a fixed day, which shows that there is one."""
    try:
        return next(iter(CronSim(cron, _DAY_OF_CHECK.astimezone(zone))))
    except CronSimError as error:
        raise ValueError(
            f"cron line {cron!r} cannot be read or never fires: {error}. Write minute, hour, day "
            'of month, month and day of week, as "0 6 * * MON-FRI"'
        ) from None
    except StopIteration:
        raise ValueError(f"cron line {cron!r} never fires: no day matches it") from None
