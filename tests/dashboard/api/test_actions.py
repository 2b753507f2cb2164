"""Cancel, redrive and dismiss through the API."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import MalformedMessage
from jobfleet_protocol.reading import journal
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit


async def test_a_queued_job_is_cancelled_at_once_with_the_reason(client: AsgiClient) -> None:
    job_id = await submit(client)
    answer = await client.post(f"/api/jobs/{job_id}/cancel", {"reason": "mistake"})
    assert (answer.status, answer.json["state"]) == (202, "cancelled")
    events = (await client.get(f"/api/jobs/{job_id}")).json["events"]
    assert events[-1]["data"]["reason"] == "mistake"


async def test_a_running_job_is_asked_to_stop(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    answer = await client.post(f"/api/jobs/{job_id}/cancel")
    assert (answer.status, answer.json["state"]) == (202, "running")
    assert answer.json["message"] == "cancel requested"


async def test_what_the_state_does_not_allow_is_409_with_the_reason(
    client: AsgiClient, life: Life
) -> None:
    job_id = await submit(client)
    assert (await client.post(f"/api/jobs/{job_id}/redrive")).status == 409
    await life.start(job_id)
    await life.complete(job_id)
    for action in ("cancel", "redrive", "dismiss"):
        answer = await client.post(f"/api/jobs/{job_id}/{action}")
        assert (answer.status, answer.json["type"]) == (409, "action-refused")
        assert job_id in answer.json["detail"]


async def test_a_failed_job_is_redriven_or_dismissed(client: AsgiClient, life: Life) -> None:
    one, two = await submit(client), await submit(client)
    for job_id in (one, two):
        await life.start(job_id)
        await life.fail(job_id)
    letters = (await client.get("/api/dead-letters")).json["items"]
    assert {letter["jobId"] for letter in letters} == {one, two}
    assert (await client.post(f"/api/jobs/{one}/redrive")).json["state"] == "queued"
    assert (await client.post(f"/api/jobs/{two}/dismiss")).json["state"] == "failed"
    assert (await client.post(f"/api/jobs/{two}/dismiss")).status == 409


async def test_an_ended_job_is_erased_and_its_page_and_answer_still_come(
    client: AsgiClient, life: Life
) -> None:
    job_id = await submit(client)
    address = f"/api/jobs/{job_id}/erase"
    assert (await client.post(address, {"reason": "asked"})).status == 409
    await life.start(job_id)
    await life.fail(job_id)
    without = await client.post(address)
    assert (without.status, without.json["field"]) == (400, "reason")
    page = (await client.get(f"/jobs/{job_id}")).body.decode()
    dialog = page[page.index('<form id="ask-erase"') :].partition("</form>")[0]
    assert "popover" in dialog
    assert re.search(r'name="reason"[^>]* required', dialog)
    answer = await client.post(address, {"reason": "asked for by Ada"})
    assert (answer.status, answer.json["state"]) == (202, "failed")
    assert "exports" in answer.json["message"]
    store = life._backend.retention
    assert store is not None
    await store.erase(job_id, last=3)
    job = (await client.get(f"/api/jobs/{job_id}")).json
    assert [event["status"] for event in job["events"]] == [
        "Queued",
        "Started",
        "Failed",
        "Erased",
    ]
    assert (job["payload"], job["result"], job["lastError"]["message"]) == (None, None, "")
    assert (await client.post(f"/api/jobs/{job_id}/redrive")).status == 409
    page = (await client.get(f"/jobs/{job_id}")).body.decode()
    assert "values erased by somebody, reason: asked for by Ada" in page
    assert "ask-erase" not in page


async def test_the_page_erases_a_job_with_the_reason_of_its_dialog(
    client: AsgiClient, life: Life
) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    await life.complete(job_id)
    form = {"content-type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    for body, status in ((b"reason=", 400), (b"reason=asked", 303)):
        answer = await client.request("POST", f"/jobs/{job_id}/erase", body=body, headers=form)
        assert answer.status == status
    events = (await client.get(f"/api/jobs/{job_id}")).json["events"]
    assert events[-1]["data"]["reason"] == "asked"


async def test_an_action_on_an_unknown_job_is_404(client: AsgiClient) -> None:
    for path in (new_id(), "17"):
        assert (await client.post(f"/api/jobs/{path}/cancel")).status == 404


async def test_actions_on_many_answer_for_each_job(client: AsgiClient, life: Life) -> None:
    one, two, unknown = await submit(client), await submit(client), new_id()
    await life.start(two)
    await life.complete(two)
    body = {"action": "cancel", "ids": [one, two, unknown, "17"]}
    items = (await client.post("/api/jobs/actions", body)).json["items"]
    assert items[0] == {"jobId": one, "state": "cancelled"}
    kinds = [item["error"]["type"] for item in items[1:]]
    assert kinds == ["action-refused", "unknown-job", "invalid-request"]


async def test_a_filter_acts_only_on_the_expected_number(client: AsgiClient) -> None:
    for _ in range(3):
        await submit(client, queue="bulk")
    await submit(client)
    body: dict[str, Any] = {"action": "cancel", "filter": {"queue": "bulk"}, "expected": 2}
    refused = await client.post("/api/jobs/actions", body)
    assert refused.status == 409
    assert "finds 3 jobs now, not 2" in refused.json["detail"]
    accepted = await client.post("/api/jobs/actions", body | {"expected": 3, "reason": "storm"})
    assert (accepted.status, accepted.json["items"]) == (202, [])
    action = await ended_action(client, accepted.json["statusUrl"])
    assert (action["status"], action["done"], action["refused"]) == ("ended", 3, 0)
    assert (action["scope"], action["reason"]) == ("queue bulk", "storm")
    left = (await client.get("/api/jobs", view="jobs", state="queued")).json["items"]
    assert len(left) == 1


async def test_ids_are_acted_on_by_themselves_where_the_caller_prefers_that(
    client: AsgiClient,
) -> None:
    job_id, unknown = await submit(client), new_id()
    body = {"action": "cancel", "ids": [job_id, unknown]}
    headers = {"prefer": "return=minimal, respond-async;wait=1"}
    accepted = await client.post("/api/jobs/actions", body, headers)
    action = await ended_action(client, accepted.headers["location"])
    assert (action["done"], action["refused"]) == (1, 1)
    results = (await client.get(f"{accepted.json['statusUrl']}/results")).json["items"]
    assert results == [
        {"jobId": unknown, "state": None, "error": f"no job {unknown}"},
        {"jobId": job_id, "state": "cancelled", "error": None},
    ]
    assert (await client.get(f"/api/actions/{new_id()}")).status == 404


async def test_the_journal_tells_who_did_what(client: AsgiClient) -> None:
    await client.post("/api/queues/mail/pause", {"reason": "token=hunter2hunter2"})
    await submit(client, queue="bulk")
    body = {"action": "cancel", "filter": {"queue": "bulk"}, "expected": 1}
    accepted = await client.post("/api/jobs/actions", body)
    await ended_action(client, accepted.json["statusUrl"])
    bulk, paused = (await client.get("/api/actions")).json["items"]
    assert (bulk["kind"], bulk["action"]["done"]) == ("Asked", 1)
    assert (paused["kind"], paused["subject"], paused["name"]) == ("Paused", "queue", "mail")
    assert "hunter2" not in paused["reason"]
    page = (await client.get("/actions")).body.decode()
    assert "hunter2" not in page
    assert bulk["action"]["actionId"] in page


async def test_the_journal_tells_who_forgot_which_message(
    client: AsgiClient, backend: Backend
) -> None:
    await backend.dead_letters.add(MalformedMessage(b"{", "no job"), datetime.now(UTC))
    (letter,) = (await backend.dead_letters.letters()).items
    answer = await client.post(f"/dead-letters/{letter.letter_id}/forget")
    assert answer.status == 303
    assert list((await backend.dead_letters.letters()).items) == []
    (entry,) = (await client.get("/api/actions")).json["items"]
    found = (entry["kind"], entry["subject"], entry["name"], entry["by"])
    assert found == ("Removed", "dead letter", letter.letter_id, "somebody")
    assert letter.letter_id in (await client.get("/actions")).body.decode()
    assert (await client.post(f"/dead-letters/{'x' * 101}/forget")).status == 400


async def test_every_change_to_the_fleet_stands_in_the_journal(client: AsgiClient) -> None:
    await client.request("PUT", "/api/limits/api-crm", body={"slots": 2, "reason": "their wish"})
    await client.request("DELETE", "/api/limits/api-crm", body={"reason": "over"})
    schedule = {"type": "demo.steps", "everySeconds": 60}
    await client.request("PUT", "/api/schedules/often", body=schedule)
    await client.post("/api/schedules/often/pause", {"reason": "audit"})
    await client.post("/api/types/demo.steps/pause", {"reason": "audit"})
    items = (await client.get("/api/actions")).json["items"]
    assert [(item["subject"], item["kind"]) for item in reversed(items)] == [
        ("limit", "Set"),
        ("limit", "Removed"),
        ("schedule", "Declared"),
        ("schedule", "Paused"),
        ("type", "Paused"),
    ]
    assert "their wish" in (await client.get("/actions", verb="change")).body.decode()


async def test_what_people_did_is_found_by_who_what_and_when(client: AsgiClient) -> None:
    for queue in ("mail", "bulk"):
        await client.post(f"/api/queues/{queue}/pause", {"reason": f"storm in {queue}"})
    await client.post("/api/queues/mail/resume", {})
    job_id = await submit(client)
    await client.post(f"/api/jobs/{job_id}/cancel", {"reason": "a mistake"})

    async def found(**asked: str) -> list[tuple[str, str]]:
        items = (await client.get("/api/actions", **asked)).json["items"]
        return [(item["kind"], item["name"]) for item in items]

    [who] = {item["by"] for item in (await client.get("/api/actions")).json["items"]}
    assert await found(verb="pause") == [("Paused", "bulk"), ("Paused", "mail")]
    assert await found(verb="resume", by=who[1:].upper()) == [("Resumed", "mail")]
    assert await found(by="nobody") == []
    assert await found(until="2020-01-01T00:00:00Z") == []
    assert len(await found(since="2020-01-01T00:00:00Z")) == 3
    assert (await client.get("/api/actions", verb="invent")).status == 400

    async def page(path: str, **asked: str) -> str:
        return (await client.get(path, **asked)).body.decode()

    assert "storm in bulk" in await page("/actions", verb="pause")
    assert "storm in bulk" not in await page("/actions", verb="resume")
    assert "a mistake" in await page("/actions/jobs", verb="cancel", by="some")
    for asked in ({"verb": "redrive"}, {"by": "nobody"}, {"until": "2020-01-01T00:00"}):
        assert "a mistake" not in await page("/actions/jobs", **asked)
    assert "verb: &#39;invent&#39; is none of" in await page("/actions", verb="invent")


async def test_a_look_through_the_journal_is_bounded_and_goes_on(
    client: AsgiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PAGE_SIZE", 2)
    monkeypatch.setattr(journal, "MAX_LOOKS", 2)
    for number in range(6):
        await client.post(f"/api/queues/q{number}/pause", {})
    first = (await client.get("/api/actions", verb="resume")).json
    assert (first["items"], first["searchedBackTo"] is None) == ([], False)
    rest = (await client.get("/api/actions", verb="pause", cursor=first["next"])).json
    assert [item["name"] for item in rest["items"]] == ["q1", "q0"]
    assert (rest["next"], rest["searchedBackTo"]) == (None, None)


async def ended_action(client: AsgiClient, address: str) -> dict[str, Any]:
    """Run what was accepted, as a dashboard's runner does, and return the action."""
    await client.app.state.services.bulk_runner.run_due()
    action: dict[str, Any] = (await client.get(address)).json
    return action


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "explode", "ids": [new_id()]}, "action"),
        ({"action": "cancel"}, "ids"),
        ({"action": "cancel", "ids": []}, "ids"),
        ({"action": "cancel", "ids": [5]}, "ids"),
        ({"action": "cancel", "ids": [new_id()], "filter": {"queue": "a"}}, "ids"),
        ({"action": "cancel", "filter": {}, "expected": 0}, "filter"),
        ({"action": "cancel", "filter": {"queue": "a"}}, "expected"),
        ({"action": "cancel", "filter": {"colour": "a"}, "expected": 1}, "filter.colour"),
        ({"action": "cancel", "filter": {"queue": ""}, "expected": 1}, "filter.queue"),
        ({"action": "cancel", "filter": {"since": "x"}, "expected": 1}, "filter.since"),
        ({"action": "cancel", "filter": {"state": "odd"}, "expected": 1}, "filter.state"),
        ({"action": "cancel", "ids": [new_id()], "force": True}, "force"),
    ],
)
async def test_a_selection_that_does_not_fit_is_400_and_named(
    client: AsgiClient, body: dict[str, Any], field: str
) -> None:
    answer = await client.post("/api/jobs/actions", body)
    assert (answer.status, answer.json["field"]) == (400, field)
