"""The part of the second checker that compares jobs: successors and groups, by docs/protocol.md."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

Row = dict[str, Any]
Jobs = Mapping[str, list[Row]]
ENDED = {"completed", "failed", "timedOut", "cancelled"}
ENDINGS = {"Completed", "Failed", "TimedOut", "Cancelled"}

ENTRY = {"subject", "name", "sequence", "entryId", "kind", "by", "timestamp", "reason"}


def faults_of_lines(lines: list[Row], *, raw: bool) -> Iterator[str]:
    """Say which lines are neither an event of the file's form nor an entry of the control log."""
    for number, line in enumerate(lines, 1):
        if "jobId" not in line and line.keys() != ENTRY | {"details", "state"}:
            yield f"line {number}: neither an event nor an entry of the control log"
        if "jobId" in line and not isinstance(line["data"], dict):
            yield f"line {number}: its data are no object"
        if raw and "jobId" in line and "salt" not in line:
            yield f"line {number}: a masked line in a raw export"
    if not any("jobId" in line for line in lines):
        yield "the file holds no event"


def faults_of_flows(jobs: Jobs) -> Iterator[str]:
    """Say which successors are missing or too many, and which groups count otherwise."""
    asked: dict[str, bool] = {}
    for job, rows in jobs.items():
        for row in endings(rows):
            for place, step in enumerate(request_of(rows).get("then", [])):
                after = "success" if row["state"] == "completed" else "failure"
                following = internal_id("then", job, str(place), str(row["incarnation"]))
                asked[following] = due = step.get("when", "success") in ("always", after)
                if due != (following in jobs) and rows[-1]["status"] != "Erased":
                    yield f"job {job}: successor {following} {'is missing' if due else 'stands'}"
            if counted := (row["data"] or {}).get("group"):
                yield from faults_of_group(job, row, counted, jobs)
    for job, rows in jobs.items():
        follows = request_of(rows).get("follows")
        if follows and request_of(jobs.get(follows["jobId"], [])) and job not in asked:
            yield f"job {job}: job {follows['jobId']} does not ask for it"
        member = request_of(rows).get("member")
        if member and job != internal_id("member", member["groupId"], str(member["index"])):
            yield f"job {job}: it is no member of group {member['groupId']}"


def faults_of_group(job: str, row: Row, counted: Row, jobs: Jobs) -> Iterator[str]:
    """Say whether the members ended as the group's ending counts them."""
    least: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for index in range(counted["total"]):
        rows = jobs.get(internal_id("member", job, str(index)), [])
        incarnation = counted["incarnations"].get(str(index), 1)
        ends = ends_of(rows, incarnation)
        if not ends:
            yield f"job {job}: it counts member {index}, which has not ended"
            return
        most.update(ends)
        least.update(ends if len(ends) == 1 else ())
    states: Counter[str] = Counter(counted["states"])
    if states.total() != counted["total"] or least - states or states - most:
        yield f"job {job}: it counts {dict(states)}, and its members ended {dict(most)}"
    if (states["completed"] == counted["total"]) != (row["state"] == "completed"):
        yield f"job {job}: it is {row['state']}, and {states['completed']} members completed"


def ends_of(rows: list[Row], incarnation: int) -> set[str]:
    """Return by which states an incarnation may count; of a removed one all are possible."""
    if rows and is_removed(rows[-1]) and rows[-1]["incarnation"] > incarnation:
        return {*ENDED, "dismissed"}
    found: set[str] = set()
    for row in rows:
        if row["incarnation"] == incarnation and row["state"] in ENDED:
            found.add(row["state"])
            gone = row["status"] in ("Dismissed", "Erased") or row["dismissed"] or is_removed(row)
            is_group = row["type"] == "group.wait" and row["state"] == "cancelled"
            if row["state"] != "completed" and (gone or is_group):
                found.add("dismissed")
    return found


def faults_across(jobs: Iterable[list[Row]]) -> Iterator[str]:
    """Say what is wrong between jobs: ids and turns that stand twice, turns left open."""
    ids: set[str] = set()
    turns: dict[str, dict[int, str]] = defaultdict(dict)
    for row in (row for rows in jobs for row in rows):
        if row["eventId"] in ids:
            yield f"job {row['jobId']}: event id {row['eventId']} stands twice"
        ids.add(row["eventId"])
        held = [(each["lock"], each["turn"]) for each in row["locks"]]
        for lock, turn in [*held, (row["lock"], row["lockTurn"])] if row["lockTurn"] else held:
            if turns[lock].setdefault(turn, row["jobId"]) != row["jobId"]:
                yield f"lock {lock}: turn {turn} of two jobs, {row['jobId']} is one"
    for newest in (rows[-1] for rows in jobs):
        later = max(turns.get(newest["lock"], {0: ""}))
        if newest["state"] == "running" and (newest["lockTurn"] or later) < later:
            yield f"job {newest['jobId']} still holds a turn, and a later one began"


def endings(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["status"] in ENDINGS and not is_removed(row)]


def is_removed(row: Row) -> bool:
    return bool((row["data"] or {}).get("tombstone"))


def request_of(rows: list[Row]) -> Row:
    """Return what the job was asked to do; nothing where event 1 does not hold it any more."""
    request = (rows[0]["data"] or {}).get("request") if rows else None
    return request if isinstance(request, dict) else {}


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def internal_id(*parts: str) -> str:
    number = int.from_bytes(sha256(json.dumps(parts).encode()).digest()[:16])
    return str(UUID(int=number & ~(0xF << 76 | 0x3 << 62) | 8 << 76 | 2 << 62))
