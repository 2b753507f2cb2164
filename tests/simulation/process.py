"""A process of the simulated fleet: it can vanish, stand still, and block its own loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.simulation.virtual_loop import VirtualLoop
from tests.simulation.virtual_time import VirtualTime

if TYPE_CHECKING:
    from jobfleet_worker.worker import Worker

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ProcessClock:
    """Clock of one process: wall time as its machine had it at the start, and a boot clock."""

    time: VirtualTime
    wall_offset: timedelta
    boot_offset: float

    def now(self) -> datetime:
        """Return wall time in UTC."""
        return BEGIN + self.wall_offset + timedelta(seconds=self.time.now)

    def boottime(self) -> float:
        """Return seconds since the machine started."""
        return self.time.now + self.boot_offset


class Process:
    """Two threads: the event loop of the handlers, and the one that renews leases.

    Attributes:
        on_silence: told when the process crashes or stands still.
        worker: what runs in it, if it is a worker.
        died_at: when it crashed or ended, in simulated seconds.
        born_at: when it was started, likewise.
        is_mute: it vanished in the midst of its own code, which sends nothing more.
        is_old: it runs this release beside an invented next one.
    """

    def __init__(self, *, name: str, time: VirtualTime, clock: ProcessClock) -> None:
        self.name = name
        self.clock = clock
        self.loop = VirtualLoop(name=name, time=time)  # type: ignore[abstract]
        self.renewal_loop = VirtualLoop(  # type: ignore[abstract]
            name=f"{name}/renewal", time=time
        )
        self.worker: Worker | None = None
        self.on_silence: Callable[[], None] | None = None
        self.died_at: float | None = None
        self.born_at = time.now
        self.is_mute = False
        self.is_old = False
        self.time = time

    @property
    def is_alive(self) -> bool:
        """Whether it has neither crashed nor ended."""
        return not self.loop.dead

    @property
    def is_awake(self) -> bool:
        """Whether its handlers make progress now."""
        return self.is_alive and self.loop.frozen_until <= self.time.now

    @property
    def own_lock(self) -> str | None:
        """The lock on which its new claims rest, if it runs a worker of scope ``worker``."""
        kept = self.worker._claiming.worker_lock._kept if self.worker is not None else None
        return kept.lock if kept is not None else None

    def crash(self) -> None:
        """Vanish; requests on their way may still be carried out."""
        if not self.is_alive:  # else its place would be taken twice
            return
        self.loop.dead = self.renewal_loop.dead = True
        self.died_at = self.time.now
        if self.on_silence is not None:
            self.on_silence()

    def vanish(self) -> None:
        """Crash in the midst of the code that calls this: whatever it goes on to send is lost."""
        self.is_mute = True
        self.crash()

    def pause(self, seconds: float, *, lag: float = 0.0) -> None:
        """Stand still (SIGSTOP), then go on as if nothing had been.

        Args:
            lag: seconds by which the renewal thread comes back later than the handlers.
        """
        if not self.is_alive:
            return
        until = self.time.now + seconds
        self.loop.frozen_until = max(self.loop.frozen_until, until)
        self.renewal_loop.frozen_until = max(self.renewal_loop.frozen_until, until + lag)
        if self.on_silence is not None:
            self.on_silence()

    def block(self, seconds: float) -> None:
        """Block the handlers' loop; renewals go on."""
        self.loop.frozen_until = max(self.loop.frozen_until, self.time.now + seconds)
