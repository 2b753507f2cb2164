"""Copies of a message that is put off die out, and one message is always left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from jobfleet_contracts.delay_steps import delay_step
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobMessage
from jobfleet_worker.run.under_way import MOST_PUT_OFF, UnderWay

MESSAGE = JobMessage(request=JobRequest.model_validate({"type": "a"}), sequence=3)


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_a_copy_is_covered_while_the_other_message_is_away() -> None:
    known = UnderWay()
    known.add(MESSAGE, _seconds(5), since=100)
    assert known.covers(replace(MESSAGE, deferrals=7), _seconds(5), now=100.5)
    assert known.covers(replace(MESSAGE, sequence=2), _seconds(5), now=104.9)


def test_what_may_be_the_last_message_is_never_covered() -> None:
    known = UnderWay()
    known.add(MESSAGE, _seconds(9), since=100)  # the broker's step is 5 s
    request = MESSAGE.request
    others = {
        "that came back": (MESSAGE, 60, 105),
        "that is newer": (replace(MESSAGE, sequence=4), 60, 101),
        "that comes sooner": (MESSAGE, 5, 101),
        "of no known event": (replace(MESSAGE, sequence=None), 60, 101),
    }
    for field, value in {"job_id": "j2", "type": "b", "queue": "q", "priority": 9}.items():
        other = replace(MESSAGE, request=request.model_copy(update={field: value}))
        others[f"of another {field}"] = (other, 60, 101)
    for name, (message, delay, now) in others.items():
        assert not known.covers(message, _seconds(delay), now=now), f"a message {name}"


def test_a_message_whose_job_may_have_no_event_covers_none() -> None:
    known = UnderWay()
    known.add(replace(MESSAGE, sequence=None), _seconds(5), since=100)
    assert not known.covers(MESSAGE, _seconds(5), now=101)


def test_a_foreign_message_covers_its_own_copies_and_no_other_body() -> None:
    known = UnderWay()
    foreign = replace(MESSAGE, sequence=None)
    known.add(foreign, _seconds(5), since=100)
    assert known.covers(replace(foreign, deferrals=7), _seconds(5), now=101)
    other = MESSAGE.request.model_copy(update={"payload": "another"})
    assert not known.covers(replace(foreign, request=other), _seconds(5), now=101)


def test_what_came_back_is_forgotten() -> None:
    known = UnderWay()
    for number in range(1000):
        request = MESSAGE.request.model_copy(update={"job_id": f"job-{number}"})
        known.add(replace(MESSAGE, request=request), _seconds(5), since=number)
    assert len(known._put_off) == len(known._ends) == 5


def test_of_a_large_foreign_request_a_digest_is_kept_and_of_many_the_latest() -> None:
    known = UnderWay()
    payload = "a" * 1_000_000
    for number in range(MOST_PUT_OFF + 5):
        update = {"job_id": f"job-{number}", "payload": payload}
        request = MESSAGE.request.model_copy(
            update=update if number < 5 else {"job_id": f"{number}"}
        )
        foreign = replace(MESSAGE, request=request, sequence=None)
        known.add(foreign, _seconds(5), since=number / 10_000)
        assert known.covers(foreign, _seconds(5), now=number / 10_000)
    assert len(known._put_off) == len(known._ends) == MOST_PUT_OFF
    assert payload not in str(known._put_off)


def test_of_many_copies_at_many_workers_one_is_left_and_never_none() -> None:
    dice = Random(1)
    workers = [UnderWay() for _ in range(4)]
    back_at = [dice.uniform(0, 5) for _ in range(30)]
    while (now := min(back_at)) < 600:
        back_at.remove(now)
        delay = _seconds(dice.choice((1, 2, 5)))
        worker = dice.choice(workers)
        if not worker.covers(MESSAGE, delay, now=now):
            worker.add(MESSAGE, delay, since=now)
            back_at.append(now + dice.choice((delay.total_seconds(), delay_step(delay))))
        assert back_at
    assert len(back_at) == 1
