"""The shop's jobs."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from jobfleet_publisher import current_publisher
from jobfleet_worker import BlockingJobContext, Defer, Fail, JobContext, handler, schedule
from shop.models import (
    Article,
    Bill,
    Billing,
    Confirmation,
    DailyReport,
    Invoice,
    MonthlyReport,
    MonthsInvoices,
    Order,
    Payment,
)
from shop.store import Store


@handler("order.confirm", max_attempts=5, lock_key=lambda order: f"customer-{order.customer}")
async def confirm(order: Order, context: JobContext, store: Store) -> Confirmation:
    """Price an order, store it, and have it paid by a job of its own."""
    prices = {article: store.price_of(article) for article in order.articles}
    missing = [article for article, price in prices.items() if price is None]
    if missing:
        raise Fail(f"the shop does not have {', '.join(missing)}")
    total = round(sum(price for price in prices.values() if price is not None), 2)
    month = f"{order.day or datetime.now(UTC):%Y-%m}"
    store.confirm(order.number, order.customer, total, month)
    # Not yet committed, and a crash may come: the key makes a repeated submit the same job.
    key = f"order/{order.number}/pay"
    await pay.submit(Payment(order=order.number, amount=total), idempotency_key=key)
    await context.progress(1, 1, f"order {order.number} comes to {total:.2f}")
    return Confirmation(number=order.number, total=total)


@handler("order.pay", on_lost="fail", max_attempts=1, timeout=30)
def pay(payment: Payment, store: Store, context: BlockingJobContext) -> bool:
    """Take the money. After a lost worker the job fails, and a person checks with the bank."""
    if not store.has_order(payment.order):
        raise Defer(1, "the order is not committed yet")
    time.sleep(0.05)  # here the bank would be asked, with context.idempotency_key
    return store.pay(payment.order, context.idempotency_key)


@handler("article.price", queue="default")
def set_price(article: Article, *, store: Store) -> None:
    """Change one price; a price list is many of these jobs."""
    store.add_article(article.name, article.price)


@schedule("0 6 * * *", timezone="Europe/Berlin", name="daily-report")
@handler("report.daily")
def daily_report(*, store: Store) -> DailyReport:
    """Count what was sold."""
    orders, total = store.totals()
    return DailyReport(orders=orders, total=total)


@handler("month.bill", max_attempts=3)
async def bill_month(billing: Billing, *, store: Store) -> str:
    """Have one invoice written for each customer of a month, and then one report of all of them.

    If its worker dies on the way, the next attempt opens the same group with the same members.
    """
    month = billing.month
    report = report_month.then({"month": month}, results={"invoices": "members"}, when="always")
    async with current_publisher().group(
        f"invoices {month}", then=[report], idempotency_key=f"invoices/{month}"
    ) as group:
        for customer in store.customers_of(month):
            await write_invoice.submit_to(group, Bill(customer=customer, month=month))
    return group.group_id


@handler("month.invoice", max_attempts=3)
def write_invoice(bill: Bill, *, store: Store) -> Invoice:
    """Write what one customer bought in a month. Here a PDF would be made and sent."""
    return Invoice(customer=bill.customer, total=store.bought(bill.customer, bill.month))


@handler("month.report")
def report_month(months: MonthsInvoices, *, store: Store) -> MonthlyReport:
    """Sum up the invoices of a month; it starts when the last of them has ended."""
    written = [invoice for invoice in months.invoices if invoice is not None]
    report = MonthlyReport(
        month=months.month,
        invoices=len(written),
        missing=len(months.invoices) - len(written),
        total=round(sum(invoice.total for invoice in written), 2),
    )
    store.keep_report(months.month, report.model_dump_json())
    return report
