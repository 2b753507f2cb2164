"""What is offered while a search is typed."""

from __future__ import annotations

from jobfleet_dashboard.views.jobs.search_words import SearchedNames, completions, in_payloads
from jobfleet_dashboard.views.known_names import KnownNames

NAMES = SearchedNames(
    known=KnownNames(types=("crm.sync", "mail.send"), queues=("default",)),
    workers=["0affe0de"],
    schedules=["daily"],
    payload_keys=["customer"],
)


def test_the_last_word_is_completed_and_the_others_stay() -> None:
    assert completions("queue:mail -st", NAMES) == ["queue:mail -state:"]
    assert completions("type:SYNC", NAMES) == ["type:crm.sync"]
    assert completions("a state:ru", NAMES) == ["a state:running"]
    assert completions("pay", NAMES) == ["payload.customer:"]
    assert completions("worker:", NAMES) == ["worker:0affe0de"]
    assert completions("schedule:d", NAMES) == ["schedule:daily"]


def test_nothing_is_offered_for_free_text_and_every_field_for_none() -> None:
    assert completions("invoice", NAMES) == []
    assert "crm payload.customer:" in completions("crm ", NAMES)


def test_one_word_that_no_job_has_is_offered_as_a_value_in_payloads() -> None:
    assert in_payloads("customer-10", NAMES) == ["payload.customer:customer-10"]
    for other in ("two words", "-customer-10", "lock:customer-10", '"quoted"', ""):
        assert in_payloads(other, NAMES) == []
