"""Starts under a rate: each is reserved before a job starts, and used once.

One row per key holds the theoretical arrival time of a GCRA. A reservation takes the earliest start
that this time allows, and moves it on by one interval, in one replacement of the row that was read.
A crash, or an answer that was lost, wastes starts; no start is taken twice.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jobfleet_contracts.fleet_ports import RateStore
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.rate import MOST_AHEAD, Rate

RATE = "rate"
"""Reason of a deferral: a rate lets the job start later."""
AT_HAND = timedelta(seconds=0.4)
"""A start so near is waited for with the job in hand.

A delay queue may take a second at least. A job that is further from its start than this comes back
in the first 0.6 s after it, and so within the grace.
"""
LONGEST_PUT_OFF_SECONDS = 60.0
MOST_KEYS = 10_000
"""How many keys this process remembers. If there are more, it forgets quiet ones."""


@dataclass(frozen=True, slots=True)
class RateDemand:
    """One rate that a start counts against.

    Attributes:
        key: key of the row that counts.
        name: what people read: a job type, or ``limit api-stripe``.
    """

    key: str
    name: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Admission:
    """A reserved start of one job, with each rate that it counts against.

    The job must start at :attr:`at`, or within each rate's grace after it.

    Attributes:
        starts: the reserved moment, by the rate's key.
    """

    demands: tuple[RateDemand, ...]
    starts: Mapping[str, datetime]

    @property
    def at(self) -> datetime:
        """When the job may start, by the storage's clock."""
        return max(self.starts.values())

    @property
    def name(self) -> str:
        """The rate whose moment comes last."""
        return max(self.demands, key=lambda demand: self.starts[demand.key]).name

    def is_over(self, now: datetime) -> bool:
        """Whether one of the moments is past its grace, so that it must be reserved anew."""
        return any(self.starts[each.key] + each.rate.grace < now for each in self.demands)


@dataclass(frozen=True, slots=True)
class Crowded:
    """No start within reach: the next one that this rate allows lies further ahead."""

    demand: RateDemand


@dataclass(slots=True, eq=False)
class _Asked:
    demand: RateDemand
    earliest: datetime
    start: datetime | None = None
    is_answered: bool = False


@dataclass(slots=True)
class _Key:
    """What this process knows of one key.

    Attributes:
        next_start: no start before it can be had any more; it only moves forward.
        asked: reservations that wait for the write under way, to share the next one.
        put_off: boot-time seconds at which jobs that were put off come back; a heap.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    next_start: datetime | None = None
    asked: list[_Asked] = field(default_factory=list)
    put_off: list[float] = field(default_factory=list)


class RateLimiter:
    """Reserves starts for the jobs of one worker; jobs that ask together share one write.

    Args:
        clock_offset: seconds by which this machine's clock is ahead of the storage's.
    """

    def __init__(
        self, *, store: RateStore, clock: Clock, clock_offset: Callable[[], float]
    ) -> None:
        self._store = store
        self._clock = clock
        self._clock_offset = clock_offset
        self._keys: dict[str, _Key] = {}

    def now(self) -> datetime:
        """Return the time by the storage's clock."""
        return self._clock.now() - timedelta(seconds=self._clock_offset())

    async def admit(
        self, demands: Sequence[RateDemand], held: Mapping[str, datetime]
    ) -> Admission | Crowded:
        """Reserve a start under all rates; moments reserved before are used while they last.

        Args:
            held: moments that were reserved for this job earlier, by key.

        Raises:
            BackendUnavailable: a reservation may have been made; it is wasted then.
        """
        # The slowest first: the others then follow its moment, and waste fewer of their own.
        wanted = sorted(demands, key=lambda demand: demand.rate.interval, reverse=True)
        starts = {d.key: held[d.key] for d in wanted if d.key in held}
        lead = timedelta(0)
        while True:
            latest = max([self.now(), *starts.values()])
            missing = _first_missing(wanted, starts, latest)
            if missing is None:
                return Admission(tuple(wanted), starts)
            began = self._clock.boottime()
            start = await self._reserve(missing, max(latest, self.now() + lead))
            if start is None:
                return Crowded(missing)
            starts[missing.key] = start
            # Storage that answers late would have each start over before it is known.
            lead = min(timedelta(seconds=self._clock.boottime() - began), 0.8 * MOST_AHEAD)

    async def keep(self, admission: Admission) -> bool:
        """Wait for the reserved start, or for a later one if it has passed meanwhile.

        Call it last: what stands between it and the start is not in the rate's bound.

        Returns:
            Whether the job may start now; ``False``: no start is within reach any more.
        """
        await self.until(admission.at)
        while admission.is_over(self.now()):
            again = await self.admit(admission.demands, {})
            if isinstance(again, Crowded):
                return False
            admission = again
            await self.until(admission.at)
        return True

    async def until(self, moment: datetime) -> None:
        """Wait until the storage's clock and this machine's show this moment.

        A reserved start is a due time too, and by its own clock no worker starts a job before that.
        """
        while True:
            ahead = moment - min(self.now(), self._clock.now())
            if ahead <= timedelta(0):
                return
            await asyncio.sleep(ahead.total_seconds())

    @property
    def knows_rates(self) -> bool:
        """Whether any start has counted against a rate here."""
        return bool(self._keys)

    def crowded(self, demands: Sequence[RateDemand]) -> Crowded | None:
        """Return a rate that is known to have no start within reach, without asking the storage."""
        horizon = self.now() + MOST_AHEAD
        for each in demands:
            known = self._keys.get(each.key)
            if known is not None and known.next_start is not None and known.next_start > horizon:
                return Crowded(each)
        return None

    def put_off_seconds(self, crowded: Crowded) -> float:
        """Return after how many seconds a job that found no start tries again.

        As many jobs of this worker come back as the rate lets start, and a few more, however many
        wait: each comes back after a random part of the time that those before it take.
        """
        rate, now = crowded.demand.rate, self._clock.boottime()
        known = self._known(crowded.demand.key)
        while known.put_off and known.put_off[0] <= now:
            heapq.heappop(known.put_off)
        within_reach = timedelta(0)
        if known.next_start is not None:
            within_reach = max(known.next_start - MOST_AHEAD - self.now(), timedelta(0))
        queue = max(len(known.put_off) * rate.interval.total_seconds(), 1.0)
        seconds = within_reach.total_seconds() + queue * random.uniform(0.25, 1)
        seconds = min(seconds, LONGEST_PUT_OFF_SECONDS)
        heapq.heappush(known.put_off, now + seconds)
        return seconds

    async def _reserve(self, demand: RateDemand, earliest: datetime) -> datetime | None:
        """Return the reserved start, ``None`` if it would lie too far ahead."""
        known, mine = self._known(demand.key), _Asked(demand, earliest)
        known.asked.append(mine)
        try:
            async with known.lock:
                if not mine.is_answered:
                    await self._answer(demand.key, known)
        finally:
            if mine in known.asked:
                known.asked.remove(mine)
        return mine.start

    async def _answer(self, key: str, known: _Key) -> None:
        """Reserve starts for all that ask now, in one replacement of the row."""
        while True:
            row = await self._store.read(key)
            asked, moment = list(known.asked), None if row is None else row.moment
            starts: list[datetime | None] = []
            for each in asked:
                start, after = _next_start(moment, each, self.now())
                starts.append(start)
                moment = moment if start is None else after
            if moment is None or not any(starts):
                break
            if await self._store.replace(key, moment, read=row):
                break
        known.next_start = None if moment is None else moment - _tolerance(asked[0].demand.rate)
        for each, start in zip(asked, starts, strict=True):
            each.start, each.is_answered = start, True

    def _known(self, key: str) -> _Key:
        if key not in self._keys and len(self._keys) >= MOST_KEYS:
            now = self.now()
            for name, known in list(self._keys.items()):
                if not known.asked and (known.next_start is None or known.next_start < now):
                    del self._keys[name]
        return self._keys.setdefault(key, _Key())


def _next_start(
    moment: datetime | None, asked: _Asked, now: datetime
) -> tuple[datetime | None, datetime]:
    """Return the earliest start, if near enough, and the theoretical arrival time after it."""
    rate = asked.demand.rate
    start = max(now, asked.earliest)
    if moment is not None:
        start = max(start, moment - _tolerance(rate))
    after = max(start, moment or start) + rate.interval
    return (start if start - now <= MOST_AHEAD else None), after


def _tolerance(rate: Rate) -> timedelta:
    return (rate.burst - 1) * rate.interval


def _first_missing(
    demands: Sequence[RateDemand], starts: Mapping[str, datetime], latest: datetime
) -> RateDemand | None:
    for each in demands:
        start = starts.get(each.key)
        if start is None or start + each.rate.grace < latest:
            return each
    return None
