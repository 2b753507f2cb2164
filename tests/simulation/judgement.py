"""What must be true of every run, seen from outside: trail, queues, index, leases, answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256

from jobfleet_contracts.codec import decode
from jobfleet_contracts.errors import BadSignature
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_CANCEL_TYPE, GROUP_TYPE
from jobfleet_contracts.lease import FLEET_LOCK, RESCUER_LOCK, is_worker_lock, slots_prefix
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.audit.heads import Head, HeadsCheck
from jobfleet_protocol.audit.verification import Verifier
from tests.simulation.chain_judgement import chain_faults
from tests.simulation.client_calls import ClientCall
from tests.simulation.erasure_judgement import erasure_faults
from tests.simulation.group_judgement import group_faults
from tests.simulation.left_alone import is_left_alone
from tests.simulation.loss_judgement import loss_faults
from tests.simulation.pause_judgement import pause_faults
from tests.simulation.removal import Removal
from tests.simulation.schedule_judgement import schedule_faults
from tests.simulation.servers import Servers
from tests.simulation.third_party import Posting
from tests.simulation.workload import Wish

_TAGGED = {"cancel": "Cancelled", "redrive": "Redriven", "dismiss": "Dismissed"}


class Judgement:
    """Examines the servers after a run."""

    def __init__(
        self,
        *,
        servers: Servers,
        client_calls: list[ClientCall],
        postings: list[Posting],
        retention_seconds: float | None,
        heads: list[Head],
        worker_locks: frozenset[str],
        healed_at: float,
    ) -> None:
        """Take what is left after a run.

        Args:
            healed_at: seconds after the beginning, when faults ended.
            worker_locks: those that live workers lease now.
        """
        self._servers = servers
        self._client_calls = client_calls
        self._postings = postings
        self._retention_seconds = retention_seconds
        self._heads = heads
        self._worker_locks = worker_locks
        self._healed_at = healed_at
        self._trails = {
            job_id: servers.trail.complete(job_id) for job_id in sorted(servers.trail.jobs)
        }

    def faults(self) -> list[str]:
        """Return everything that is wrong."""
        return [
            *self._rules(),
            *self._against_heads(),
            *self._unfinished(),
            *self._answers(),
            *self._results(),
            *self._effects(),
            *self._steps(),
            *loss_faults(self._trails),
            *self._overlaps(),
            *self._callbacks(),
            *chain_faults(self._trails),
            *group_faults(self._servers.trail.written, self._client_calls, self._healed_at),
            *self._leftovers(),
            *self._timeline(),
            *self._removals(),
            *schedule_faults(self._servers, self._trails),
            *pause_faults(self._servers.control_log.landed, self._trails),
            *self._handlers(),
            *erasure_faults(self._servers, self._client_calls),
        ]

    def _handlers(self) -> Iterator[str]:
        """One worker has the type of every job: none fails for want of a handler."""
        for job_id, history in self._trails.items():
            for event in history:
                if event.data.get("error", {}).get("type") == "NoHandler":
                    yield f"job {job_id} #{event.sequence} failed though a worker has its type"

    def _rules(self) -> Iterator[str]:
        verifier = Verifier()
        for history in self._trails.values():
            verifier.add(history)
        for violation in verifier.finish():
            where = f"job {violation.job_id} #{violation.sequence}"
            yield f"rule {violation.rule}: {where}: {violation.message}"

    def _against_heads(self) -> Iterator[str]:
        """The trail is what it was when the world healed, and more."""
        check = HeadsCheck(self._heads)
        for job_id in self._trails:
            for violation in check.compare(self._servers.trail.history(job_id)):
                yield f"heads: job {job_id} #{violation.sequence}: {violation.message}"
        for violation in check.missing():
            yield f"heads: job {violation.job_id}: {violation.message}"

    def _unfinished(self) -> Iterator[str]:
        for job_id, history in self._trails.items():
            ended = not history or history[-1].after.state.is_terminal
            if not ended and not is_left_alone(self._servers, job_id):
                yield f"job {job_id} is {history[-1].after.state} for ever"
        for call in self._client_calls:
            if not call.is_done:
                yield f"{call.wish.verb} {call.wish.tag} never got an answer"
            elif (
                call.wish.verb in ("submit", "foreign")
                and call.granted
                and not self._trails.get(call.wish.job_id)
                and not self._is_set_aside(call.wish)
            ):
                yield f"job {call.wish.job_id} was accepted and is not in the trail"

    def _is_set_aside(self, wish: Wish) -> bool:
        """Whether a foreign publisher's message is kept apart, for what it did to its workers."""
        kept = {letter.message_id for letter in self._servers.dead_letters.messages()}
        return wish.verb == "foreign" and wish.job_id in kept

    def _answers(self) -> Iterator[str]:
        for call in self._client_calls:
            status = _TAGGED.get(call.wish.verb)
            if status is None:
                continue
            history = self._trails.get(call.wish.job_id, [])
            found = Counter(
                (event.data.get("by"), event.status)
                for event in history
                if event.kind is not Status.QUEUED
            )
            for tag in call.asked:
                yield from self._answer(call, tag, status, found)

    def _answer(
        self, call: ClientCall, tag: str, status: str, found: Counter[tuple[str | None, str]]
    ) -> Iterator[str]:
        times = found[tag, status]
        total = times + (found[tag, "CancelRequested"] if call.wish.verb == "cancel" else 0)
        if total > 1:
            yield f"{call.wish.verb} {tag} stands {total} times in the trail"
        if tag in call.refused and total:
            yield f"{call.wish.verb} {tag} was refused, and is in the trail"
        state = call.granted.get(tag)
        if state is None:
            return
        if state in (State.RUNNING, State.WAITING) or call.wish.verb != "cancel":
            asked = any(name == "CancelRequested" for _, name in found)
            if call.wish.verb == "cancel":
                if not asked:
                    yield f"cancel {tag} was acknowledged, and no request is in the trail"
            elif times != 1:
                yield f"{call.wish.verb} {tag} was acknowledged and stands {times} times"
        elif times != 1:
            yield f"cancel {tag} was answered {state} and stands {times} times"

    def _results(self) -> Iterator[str]:
        """A third party's result that was taken stands once; nobody else's stands anywhere."""
        for posting in self._postings:
            digest = sha256(posting.body).hexdigest()
            times = sum(
                event.data.get("callback", {}).get("digest") == digest
                and event.after.incarnation == posting.incarnation
                for event in self._trails[posting.job_id]
                if event.kind is not Status.DISMISSED
            )
            if posting.is_replay:
                if times:
                    yield f"job {posting.job_id} ended with the result of an earlier incarnation"
                continue
            if isinstance(posting.refusal, BadSignature):
                yield f"a signed result of job {posting.job_id} was refused as not signed"
            if times > 1 or (posting.granted and times != 1):
                yield f"a result of job {posting.job_id} was taken and stands {times} times"

    def _effects(self) -> Iterator[str]:
        for history in self._trails.values():
            for event in history:
                is_group = event.facts.job_type in (GROUP_TYPE, GROUP_CANCEL_TYPE)
                if event.kind is Status.COMPLETED and "callback" not in event.data and not is_group:
                    epoch = self._resolved(event)["result"]["epoch"]
                    if epoch != event.after.epoch:
                        yield (
                            f"job {event.job_id} #{event.sequence}: the result of epoch {epoch} "
                            f"is recorded in epoch {event.after.epoch}"
                        )

    def _resolved(self, event: Event) -> dict[str, dict[str, int]]:
        name = event.data.get("blob")
        blobs = self._servers.blobs | self._servers.removed_blobs
        found: dict[str, dict[str, int]] = event.data if name is None else decode(blobs[name])
        return found

    def _steps(self) -> Iterator[str]:
        """A handler told of each step once: it stands once, whatever befell the writing."""
        for job_id, history in self._trails.items():
            for event in history:
                if event.after.sent and event.message.startswith("not sent"):
                    yield f"job {job_id} #{event.sequence} denies that it was sent"
            steps = Counter(
                (event.after.epoch, event.status, event.message)
                for event in history
                if event.kind is Status.STEP and event.facts.job_type != GROUP_TYPE
            )
            for (epoch, status, _message), times in steps.items():
                if times > 1:
                    yield f"{status} of epoch {epoch} of job {job_id} stands {times} times"

    def _overlaps(self) -> Iterator[str]:
        """No two trails of one lock run at once, in the order in which storage took the rows.

        Of a lock key with N slots no more than N run, whatever their locks are.
        """
        running: defaultdict[str, set[str]] = defaultdict(set)
        locks: dict[str, str] = {}
        for when, event in self._servers.trail.written:
            before = locks.pop(event.job_id, None)
            if before is not None:
                running[before].discard(event.job_id)
            after = event.after
            if after.state is not State.RUNNING or after.lock is None:
                continue
            if event.kind is Status.TAKEN_OVER or is_worker_lock(after.lock):
                continue
            others = running[after.lock]
            if others:
                beside = f"beside {sorted(others)} under {after.lock}"
                yield f"at {when:.3f} job {event.job_id} runs {beside}"
            others.add(event.job_id)
            locks[event.job_id] = after.lock
            yield from self._over_the_limit(event, when, locks)

    def _over_the_limit(self, event: Event, when: float, locks: dict[str, str]) -> Iterator[str]:
        key, slots = event.facts.lock_key, event.facts.lock_slots
        if key is None or event.after.lock == FLEET_LOCK:
            return
        prefix = slots_prefix(key, slots)
        under = [job for job, lock in locks.items() if slots > 1 and lock.startswith(prefix)]
        if len(under) > slots:
            yield f"at {when:.3f} {sorted(under)} run under {key}, which allows {slots}"

    def _callbacks(self) -> Iterator[str]:
        wanted = {
            call.wish.job_id
            for call in self._client_calls
            if call.wish.request is not None and call.wish.request.callback_url
        }
        for job_id in sorted(wanted):
            history = self._trails.get(job_id, [])
            if history and history[-1].kind is Status.ERASED:
                continue  # its result goes to nobody
            for event in history:
                ended = event.after.state.is_terminal and event.kind is not Status.DISMISSED
                callback = callback_job_id(job_id, event.after.incarnation)
                if ended and not self._trails.get(callback):
                    yield f"incarnation {event.after.incarnation} of {job_id} has no callback job"

    def _leftovers(self) -> Iterator[str]:
        left = self._servers.broker.left()
        if left:
            yield f"{left} messages are left at the broker"
        for row in self._servers.index.open_rows():
            history = self._trails.get(row.facts.job_id)
            if history and history[-1].after.incarnation >= row.incarnation:
                yield f"open row {row.facts.job_id}/{row.incarnation} says {row.state} for ever"
        leased = self._servers.locks.leased() - {RESCUER_LOCK, FLEET_LOCK} - self._worker_locks
        if leased:
            yield f"leases are held for ever: {sorted(leased)}"
        malformed = sum(call.wish.verb == "malformed" for call in self._client_calls)
        bodies = {
            each.body for each in self._servers.dead_letters.messages() if each.message_id is None
        }
        if len(bodies) != malformed:
            yield f"{len(bodies)} dead letters of {malformed}"

    def _timeline(self) -> Iterator[str]:
        written = {event.event_id for _, event in self._servers.trail.written}
        for (job_id, sequence), event in self._servers.index.timeline.items():
            if event.event_id not in written:
                yield f"the timeline shows an event that job {job_id} #{sequence} never had"

    def _removals(self) -> Iterator[str]:
        if self._retention_seconds is not None:
            removal = Removal(servers=self._servers, retention_seconds=self._retention_seconds)
            yield from removal.faults()
