"""Refuses to start a worker whose release is below the protocol level that the fleet has used."""

from __future__ import annotations

import structlog

from jobfleet_contracts.errors import BackendError, ReleaseTooOld, ReleaseUnfit
from jobfleet_protocol.control.used_level import UsedLevel, UsedLevels
from jobfleet_protocol.retry import retry_forever
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.upkeep.heartbeat import Heartbeat

LEVEL_AWAITED = "level.awaited"

_log = structlog.get_logger()


class LevelCheck:
    """Announces the worker, then compares its level with the one that was used."""

    def __init__(self, *, used: UsedLevels, heartbeat: Heartbeat, options: WorkerOptions) -> None:
        self._used = used
        self._heartbeat = heartbeat
        self._options = options

    async def pass_or_refuse(self) -> None:
        """Return if this release can act on what the fleet has used; waits for an outage to end.

        Raises:
            ReleaseTooOld: it cannot. The worker's row says that it has stopped, if it can be
                written.
        """
        used = await retry_forever(self._announced_and_read, _log_wait)
        if used.level <= self._options.level:
            return
        await self._heartbeat.stop()
        raise ReleaseTooOld(
            f"release {self._options.version} has protocol level {self._options.level}, and the "
            f"fleet has used level {used.level} ({used.reason}): start a newer release"
        )

    async def _announced_and_read(self) -> UsedLevel:
        # The row first: who submits notes the level first and then looks at the rows, so one of
        # the two sees the other.
        await self._heartbeat.beat()
        return await self._used.read()


def _log_wait(error: BackendError) -> None:
    if isinstance(error, ReleaseUnfit):
        raise ReleaseTooOld(str(error)) from error
    _log.debug(LEVEL_AWAITED, error=str(error))
