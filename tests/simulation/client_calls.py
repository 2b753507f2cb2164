"""People outside the fleet: they ask an API server, and ask again until they have an answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from jobfleet_contracts.errors import (
    ActionRefused,
    BackendError,
    BodyConflict,
    JobfleetError,
    UnknownJob,
)
from jobfleet_contracts.message import JobMessage, MalformedMessage
from jobfleet_contracts.state import State
from tests.simulation.fleet import Api, Fleet
from tests.simulation.group_wishes import FREE_VERB, GROUP_VERBS, act_on_group
from tests.simulation.journal import Journal
from tests.simulation.limit_wishes import LIMIT_VERBS, act_on_limits
from tests.simulation.move_wishes import (
    LIFT_VERB,
    MOVE_VERB,
    MOVE_VERBS,
    act_on_move,
    lift_what_is_left,
)
from tests.simulation.pause_wishes import LAST_PAUSE_VERB, PAUSE_VERBS, act_on_pauses
from tests.simulation.process import Process
from tests.simulation.scenario import Scenario
from tests.simulation.schedule_wishes import LAST_VERB, SCHEDULE_VERBS, act_on_schedule
from tests.simulation.servers import Servers
from tests.simulation.virtual_time import VirtualTime
from tests.simulation.workload import Wish

PATIENCE_SECONDS = 25.0
_FINAL = (ActionRefused, UnknownJob, BodyConflict)


@dataclass(slots=True, eq=False)
class ClientCall:
    """One wish and what came of it.

    Attributes:
        asked: tags of all tries; the trail names them.
        granted: state answered, by the tag of the try.
        refused: definite refusal, by the tag of the try.
        is_impatient: the caller does not ask again, whatever came of the first try.
        given_up: the caller has gone without an answer.
        under_way: process of each try that has not ended; a try in a process that sleeps still
            acts when it wakes, though another try had its answer long ago.
    """

    wish: Wish
    asked: list[str] = field(default_factory=list)
    granted: dict[str, State] = field(default_factory=dict)
    refused: dict[str, JobfleetError] = field(default_factory=dict)
    under_way: dict[str, Process] = field(default_factory=dict)
    is_impatient: bool = False
    given_up: bool = False

    @property
    def is_done(self) -> bool:
        """Whether there is an answer, or nobody who waits for one."""
        return bool(self.granted or self.refused or self.given_up)

    @property
    def is_over(self) -> bool:
        """Whether it is done, and no try can act any more."""
        return self.is_done and not any(process.is_alive for process in self.under_way.values())


class ClientCalls:
    """Runs all wishes of a workload.

    Attributes:
        made: ids of jobs that submits were answered with, by idempotency key.
    """

    def __init__(
        self,
        *,
        scenario: Scenario,
        time: VirtualTime,
        fleet: Fleet,
        servers: Servers,
        journal: Journal,
        begun: set[tuple[str, int]],
    ) -> None:
        self._begun = begun
        self.all: list[ClientCall] = []
        self.made: defaultdict[str, set[str]] = defaultdict(set)
        self._scenario = scenario
        self._time = time
        self._fleet = fleet
        self._servers = servers
        self._journal = journal
        # This text is part of the seed: with another one every seed of a bug finds another run.
        self._dice = Random(f"errands/{scenario.seed}")

    def begin(self, wishes: list[Wish]) -> None:
        """Plan all of them."""
        dice = Random(f"impatience of callers/{self._scenario.seed}")
        for wish in wishes:
            others = {*SCHEDULE_VERBS, *PAUSE_VERBS, *LIMIT_VERBS, *MOVE_VERBS, FREE_VERB}
            about_jobs = wish.verb not in others
            impatient = about_jobs and dice.random() < self._scenario.impatient
            call = ClientCall(wish, is_impatient=impatient)
            self.all.append(call)
            self._time.after(wish.at, self._next_try(call))

    def _next_try(self, call: ClientCall) -> Callable[[], None]:
        def ask() -> None:
            if call.is_done:
                return
            if call.is_impatient and call.asked:
                call.given_up = True
                return
            self._time.after(PATIENCE_SECONDS, ask)
            if call.wish.verb == LAST_VERB and self._is_busy(SCHEDULE_VERBS, call):
                return
            if call.wish.verb == LAST_PAUSE_VERB and self._is_busy(PAUSE_VERBS, call):
                return
            if call.wish.verb == LIFT_VERB and self._is_busy(MOVE_VERBS, call):
                return
            awake = [api for api in self._fleet.apis.values() if api.process.is_awake]
            if awake:
                self._ask(call, self._dice.choice(awake))

        return ask

    def _is_busy(self, verbs: frozenset[str], last: ClientCall) -> bool:
        """Whether a late try of another call could still undo what the last wish does."""
        acting = (e for e in self.all if e.wish.verb in verbs and e is not last)
        return not all(call.is_over for call in acting)

    def _ask(self, call: ClientCall, api: Api) -> None:
        tag = f"{call.wish.tag}.{len(call.asked)}"
        call.asked.append(tag)
        call.under_way[tag] = api.process
        self._journal.note(api.process.name, f"asked.{call.wish.verb}", call.wish.job_id, tag)
        api.process.loop.create_task(self._have_answered(call, api, tag), name=tag)

    async def _have_answered(self, call: ClientCall, api: Api, tag: str) -> None:
        try:
            call.granted[tag] = await self._do(call.wish, api, tag)
        except _FINAL as refusal:
            call.refused[tag] = refusal
        except BackendError as error:
            self._journal.note(api.process.name, "call.unclear", tag, error)
            return
        finally:
            del call.under_way[tag]
        self._journal.note(api.process.name, "call.answered", tag, call.refused.get(tag, "granted"))

    async def _do(self, wish: Wish, api: Api, tag: str) -> State:
        if wish.verb in SCHEDULE_VERBS:
            return await act_on_schedule(wish, api.schedules, tag)
        if wish.verb in PAUSE_VERBS:
            return await act_on_pauses(wish, api, tag)
        if wish.verb == LIFT_VERB:
            return await lift_what_is_left(api, tag)
        if wish.verb == MOVE_VERB:
            return await act_on_move(api, tag, self._servers, self.all, self._begun)
        if wish.verb in GROUP_VERBS:
            return await act_on_group(wish, api, tag)
        if wish.verb in LIMIT_VERBS:
            return await act_on_limits(wish, api.limits, tag)
        return await self._act_on_job(wish, api, tag)

    async def _act_on_job(self, wish: Wish, api: Api, tag: str) -> State:
        match wish.verb:
            case "submit":
                assert wish.request is not None
                submitted = await api.submitter.submit(
                    wish.request, idempotency_key=wish.key, by=tag
                )
                if wish.key is not None:
                    self.made[wish.key].add(submitted.job_id)
                return submitted.state
            case "foreign":
                assert wish.request is not None
                await api.backend.queue.publish(JobMessage(request=wish.request))
                return State.QUEUED
            case "malformed":
                self._servers.broker.publish(MalformedMessage(tag.encode(), "no job request"))
                return State.QUEUED
            case "cancel":
                return await api.canceller.cancel(wish.job_id, by=tag)
            case "redrive":
                return await api.redriver.redrive(wish.job_id, by=tag)
            case "dismiss":
                return await api.redriver.dismiss(wish.job_id, by=tag)
            case "erase":
                return await api.eraser.erase(wish.job_id, by=tag, reason="asked for")
            case unknown:
                raise AssertionError(unknown)
