"""The shop's handlers, without a worker and without a fleet."""

from pathlib import Path

import pytest
from shop.handlers import confirm, daily_report, pay, report_month, write_invoice
from shop.store import Store

from jobfleet_worker.testing import run_handler_sync


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "shop.db")


def test_an_article_that_the_shop_does_not_have_fails_the_order_for_good(store: Store) -> None:
    order = {"number": 1, "customer": "ada", "articles": ["pen", "unicorn"]}
    run = run_handler_sync(confirm, order, provided={Store: store})
    assert run.error is not None
    assert run.error.message == "the shop does not have unicorn"
    assert not run.will_retry


def test_an_order_without_articles_is_refused(store: Store) -> None:
    order = {"number": 1, "customer": "ada", "articles": []}
    run = run_handler_sync(confirm, order, provided={Store: store})
    assert run.error is not None
    assert "payload.articles" in run.error.message


def test_a_payment_is_noted_once(store: Store) -> None:
    store.confirm(1, "ada", 1.5, "2025-03")
    job_id = "01a2190b-29d1-706a-bbd5-be8ae16694b6"
    payment = {"order": 1, "amount": 1.5}
    first = run_handler_sync(pay, payment, provided={Store: store}, job_id=job_id)
    again = run_handler_sync(pay, payment, provided={Store: store}, job_id=job_id, attempt=2)
    assert (first.result, again.result) == (True, False)
    report = run_handler_sync(daily_report, provided={Store: store})
    assert report.result == {"orders": 1, "total": 1.5}


def test_an_invoice_holds_what_the_customer_bought_in_that_month(store: Store) -> None:
    for number, customer, month in ((1, "ada", "2025-03"), (2, "alan", "2025-03")):
        store.confirm(number, customer, 1.5, month)
    store.confirm(3, "ada", 4.0, "2025-03")
    store.confirm(4, "ada", 9.0, "2025-04")
    bill = {"customer": "ada", "month": "2025-03"}
    run = run_handler_sync(write_invoice, bill, provided={Store: store})
    assert run.result == {"customer": "ada", "total": 5.5}
    assert store.customers_of("2025-03") == ["ada", "alan"]


def test_the_months_report_says_which_invoices_are_missing(store: Store) -> None:
    payload = {"month": "2025-03", "invoices": [{"customer": "ada", "total": 5.5}, None]}
    run = run_handler_sync(report_month, payload, provided={Store: store})
    assert run.result == {"month": "2025-03", "invoices": 1, "missing": 1, "total": 5.5}
    assert store.report_of("2025-03") is not None
