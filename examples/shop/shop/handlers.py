"""The shop's jobs."""

from __future__ import annotations

import time

from jobfleet_worker import BlockingJobContext, Defer, Fail, JobContext, handler, schedule
from shop.models import Article, Confirmation, DailyReport, Order, Payment
from shop.store import Store


@handler("order.confirm", max_attempts=5, lock_key=lambda order: f"customer-{order.customer}")
async def confirm(order: Order, context: JobContext, store: Store) -> Confirmation:
    """Price an order, store it, and have it paid by a job of its own."""
    prices = {article: store.price_of(article) for article in order.articles}
    missing = [article for article, price in prices.items() if price is None]
    if missing:
        raise Fail(f"the shop does not have {', '.join(missing)}")
    total = round(sum(price for price in prices.values() if price is not None), 2)
    store.confirm(order.number, order.customer, total)
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
