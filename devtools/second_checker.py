"""Check an export by the docs alone: ``python -m devtools.second_checker EXPORT [--raw]``."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from devtools.second_flow_checker import compact, faults_across, faults_of_flows, faults_of_lines

Row = dict[str, Any]
ENDED = {"completed", "failed", "timedOut", "cancelled"}
OPEN = {"scheduled", "queued", "deferred", "running", "waiting", "retrying"}
STARTABLE = OPEN - {"running", "waiting"}
FOLLOWS: dict[str, tuple[set[str], str | None]] = {  # states before it; state after it, or the same
    "Deferred": (STARTABLE | {"running"}, "deferred"),
    "Started": (STARTABLE | {"running"}, "running"),
    "Step": ({"running", "waiting"}, None),
    "Waiting": ({"running"}, "waiting"),
    "Sealed": ({"waiting"}, None),
    "AttemptFailed": ({"running"}, "retrying"),
    "RetryScheduled": ({"retrying"}, "retrying"),
    "CancelRequested": ({"running", "waiting"}, None),
    "Completed": ({"running", "waiting"}, "completed"),
    **{name: (OPEN, name[0].lower() + name[1:]) for name in ("Failed", "TimedOut", "Cancelled")},
    "Redriven": ({"failed", "timedOut", "cancelled"}, "queued"),
    "Dismissed": ({"failed", "timedOut"}, None),
    "Erased": (ENDED, None),
}
FACTS = ["jobName", "type", "queue", "priority", "lockKey", "lockSlots", "createdAt"]
HASHED = (  # in the order of docs/tamper-evidence.md
    "jobId,sequence,eventId,status,state,timestamp,workerId,durationMs,attempt,attemptsUsed,"
    "maxAttempts,epoch,incarnation,claimedBy,lock,lockTurn,locks,dueAt,sent,cancelRequested,"
    "takeovers,maxTakeovers,dismissed,lifecycleBefore," + ",".join(FACTS[1:])
)
SEALED = [*FACTS[1:], "state", "epoch", "incarnation", "attempt", "attemptsUsed", "claimedBy"]
BAD_ENDS, PAIRS = {"Failed", "TimedOut"}, {"AttemptFailed": "RetryScheduled"}
BY_CALLBACK = {"Step", "Completed", "Failed", "Cancelled"}


def check(lines: Iterable[str], *, raw: bool) -> list[str]:
    """Return what is wrong with an export; lines of the control log are passed over."""
    jobs: dict[str, list[Row]] = defaultdict(list)
    found = [*map(json.loads, lines)]
    for row in sorted((row for row in found if "jobId" in row), key=lambda row: row["sequence"]):
        jobs[row["jobId"]].append(row)
    each = [(job, fault) for job, rows in jobs.items() for fault in faults_of_job(rows, raw=raw)]
    across = [*faults_across(jobs.values()), *faults_of_flows(jobs)]
    strange = faults_of_lines(found, raw=raw)
    return [*strange, *(f"job {job}: {fault}" for job, fault in each), *across]


def faults_of_job(rows: list[Row], *, raw: bool) -> Iterator[str]:
    """Say what is wrong with the rows of one job."""
    removed = [row for row in rows if (row["data"] or {}).get("tombstone")]
    numbers = [row["sequence"] for row in rows]
    whole = numbers == list(range(1, len(rows) + 1))
    if removed:  # a tombstone alone, or a seal as the newest row; event 1 is removed last
        yield from ["rows stand behind a seal"] * (removed != rows[-1:])
        yield from ["event 1 is missing"] * (numbers[0] != 1)
        if removed != rows[-1:] or len(rows) == 1:
            return
        head, seal = rows[-2:]
        if numbers[-2] == numbers[-1] - 1 and any(head[name] != seal[name] for name in SEALED):
            yield "the seal says otherwise than the row before it"
        if not whole and numbers == [1, *range(numbers[-1] - len(rows) + 2, numbers[-1] + 1)]:
            yield from faults_of_hashes(rows, raw=raw)
            return
        rows = rows[:-1]
    if not whole:
        yield "sequences are not 1 to n"
    if rows[0]["status"] not in ("Queued", "Scheduled", "Waiting"):
        yield f"begins with {rows[0]['status']}"
    yield from faults_of_hashes([*rows, *removed], raw=raw)
    for before, row in zip(rows, [*rows[1:], None], strict=True):
        in_claim = before["status"] == "TakenOver" and before["state"] == "running"
        pair = "Started" if in_claim else PAIRS.get(before["status"])
        if pair and (row is None or row["status"] != pair):
            yield f"event {before['sequence']}: {before['status']} without {pair}"
        if row is not None:
            for wrong, text in (*state_findings(before, row), *claim_findings(rows, before, row)):
                if wrong:
                    yield f"event {row['sequence']} ({row['status']}): {text}"


def state_findings(before: Row, row: Row) -> Iterator[tuple[bool, str]]:
    """Judge a row as the next one by its state, its counts and the facts of the job."""
    status = re.sub(r"^Step \d+$", "Step", row["status"])
    if status == "TakenOver":
        yield before["state"] in ENDED, "comes after the end"
    else:
        allowed, state = FOLLOWS.get(status, (set(), None))
        yield before["state"] not in allowed, f"may not follow {before['state']}"
        yield row["state"] != (state or before["state"]), f"leads to {row['state']}"
    redriven, started = status == "Redriven", status == "Started"
    ran = before["state"] in ("running", "waiting")
    used = 0 if redriven else before["attemptsUsed"]
    ends_attempt = status in ("AttemptFailed", "Completed") or (status in BAD_ENDS and ran)
    uses = {used + ends_attempt, used + (ends_attempt and status != "Failed")}  # lost workers: none
    attempt = 0 if redriven else used + 1 if started else before["attempt"]
    asked = (before["cancelRequested"] or status == "CancelRequested") and not redriven
    lifecycle = before["lifecycleBefore" if before["status"][:5] == "Step " else "sequence"]
    has_due = row["state"] in ("scheduled", "deferred", "retrying", "waiting")
    dead = status == "Dismissed" or (status == "Erased" and row["state"] in ("failed", "timedOut"))
    dismissed = dead or (before["dismissed"] and not redriven)
    facts = FACTS[1:] if status == "Erased" or before.get("erased") or row.get("erased") else FACTS
    yield any(row[name] != before[name] for name in facts), "a fact of the job changed"
    yield before["status"] == "Erased", "follows an erasure"
    yield row["incarnation"] != before["incarnation"] + redriven, "wrong incarnation"
    yield row["attemptsUsed"] not in uses, "wrong count of attempts used"
    yield row["attempt"] != attempt, "wrong attempt"
    yield started and row["attempt"] > (row["maxAttempts"] or attempt), "over the maximum"
    yield row["dismissed"] != dismissed, "wrong note of a dismissal"
    yield status == "Dismissed" and before["dismissed"], "dismissed twice"
    yield row["cancelRequested"] != (asked and row["state"] not in ENDED), "wrong cancel note"
    yield row["sent"] and row["state"] == "running", "sent while running"
    yield (row["dueAt"] is not None) != has_due, "wrong due time"
    yield row["lifecycleBefore"] != lifecycle, "names another lifecycle event"


def claim_findings(rows: list[Row], before: Row, row: Row) -> Iterator[tuple[bool, str]]:
    """Judge a row by epoch, writer, lock and due time."""
    status, state = row["status"], before["state"]
    claims = status in ("Started", "TakenOver")
    in_pair = status == "Started" and before["status"] == "TakenOver" and state == "running"
    yield row["epoch"] != before["epoch"] + (claims and not in_pair), "wrong epoch"
    holder = row["workerId"] if claims else before["claimedBy"]
    held = claims or row["state"] in ("running", "waiting")[: 1 + (row["type"] != "group.wait")]
    yield held and (not holder or row["claimedBy"] != holder), "wrong claim holder"
    from_outside = {"CancelRequested"} if state == "running" else BY_CALLBACK
    by_nobody = row["workerId"] is None and status.split()[0] in from_outside
    inside = not claims and state in ("running", "waiting") and status != "TimedOut"
    foreign = row["workerId"] != before["claimedBy"] and not by_nobody
    yield inside and foreign, "written in another worker's claim"
    if status == "Completed":
        run = [each for each in rows if each["incarnation"] == row["incarnation"]]
        starts = [each["epoch"] for each in run if each["status"] == "Started"]
        waits = any(each["status"] == "Waiting" for each in run)
        yield row["epoch"] not in starts and not waits, "without a start"
    if status != "Started":
        return
    times = before["dueAt"] or row["timestamp"], row["timestamp"]
    due, started = map(datetime.fromisoformat, times)
    yield started < due - timedelta(seconds=1), "started before it was due"
    kind, _, name = (row["lock"] or "").partition("/")
    keyed, turn = row["lockKey"] is not None and kind != "fleet", row["lockTurn"]
    yield keyed and (kind != "key" or turn is None), "does not rest on its lock key"
    yield kind == "job" and name.split("/")[-1] != row["jobId"], "rests on another job's lock"
    locks = [each["lock"] or "" for each in rows[: rows.index(row)]]
    if kind == "worker":
        owner, _, generation = name.rpartition("-")
        known = owner == row["workerId"] and generation.isdigit() and turn is None
        yield not known, "rests on a lock that is not its worker's"
        own = [lock for lock in locks if lock.startswith(f"worker/{owner}-")]
        left = any(int(lock.rpartition("-")[2]) > int(generation) for lock in own if known)
        yield left, "rests on a lock that its worker has left"
    same = [r["lockTurn"] or 0 for r in rows[: rows.index(row)] if r["lock"] == row["lock"]]
    yield turn is not None and turn <= max(same, default=0), "its turn does not rise"


def faults_of_hashes(rows: list[Row], *, raw: bool) -> Iterator[str]:
    """Say which row does not follow from its content and the row before, if that stands."""
    before, number, (head, newest) = "", 0, [*rows[:1], *rows][-2:]
    erasing = "Erased" in (head["status"], newest["status"])
    erasing = erasing or newest["sequence"] > head["sequence"] + 1  # a seal, and no row before it
    for row in rows:
        follows = row["sequence"] == number + 1
        data = (row.get("salt") or "").encode() + compact(row["data"])
        texts = compact([row.get("salt"), row["jobName"], row["message"]])
        digests = [sha256(text).hexdigest() for text in (data, texts)]
        if raw and not row.get("erased") and digests != [row["dataHash"], row["textHash"]]:
            yield f"event {row['sequence']}: data, name or message changed"
        kept = row["message"] or row["data"] or row["jobName"] != row["type"]
        if row.get("erased") and (kept or not erasing):
            yield f"event {row['sequence']}: values without their salt, or no erasure"
        locks = [[each["lock"], each["turn"]] for each in row["locks"]]
        shown = row | {"locks": compact(locks).decode() if locks else None}
        columns = [before, *(shown[name] for name in [*HASHED.split(","), "dataHash", "textHash"])]
        if follows and sha256(compact(columns)).hexdigest() != row["hash"]:
            yield f"event {row['sequence']}: the hash does not follow from the row"
        before, number = row["hash"], row["sequence"]


def main(arguments: list[str]) -> int:
    lines = Path(arguments[0]).read_text("utf-8").split("\n")  # no other sign ends a line
    faults = check(filter(None, lines), raw="--raw" in arguments)
    print("\n".join(faults) or "nothing found")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
