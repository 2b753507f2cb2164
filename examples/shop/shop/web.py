"""The shop's web application: it answers at once and leaves the work to jobs."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import FastAPI, HTTPException

from jobfleet_publisher import BackendUnavailable, BodyConflict, Publisher
from shop.handlers import bill_month, confirm, daily_report, set_price
from shop.models import Article, Billing, DailyReport, Month, MonthlyReport, Order
from shop.store import Store

publisher = Publisher.from_env()
app = FastAPI(title="shop", lifespan=publisher.lifespan)


@app.post("/orders", status_code=202)
async def place_order(order: Order) -> dict[str, str]:
    """Take an order; the same one again is the same job."""
    try:
        job = await confirm.submit(order, idempotency_key=f"order/{order.number}")
    except BodyConflict as conflict:
        raise HTTPException(409, f"order {order.number} exists with other articles") from conflict
    except BackendUnavailable as error:  # it may have been taken: the key makes a repeat safe
        raise HTTPException(503, "try again", headers={"Retry-After": "5"}) from error
    return {"job": job.job_id}


@app.get("/jobs/{job_id}")
async def job(job_id: str) -> dict[str, object]:
    """Say where a job stands."""
    found = await publisher.find(job_id)
    if found is None:
        raise HTTPException(404, "no such job")
    return {"state": found.state.value, "result": found.result, "message": found.message}


@app.put("/prices", status_code=202)
async def change_prices(articles: list[Article]) -> dict[str, int]:
    """Change many prices at once."""
    jobs = await set_price.submit_many(articles, priority=8)
    return {"jobs": sum(not isinstance(each, Exception) for each in jobs)}


@app.get("/report")
async def report() -> DailyReport:
    """Run the report now and wait for it."""
    job = await daily_report.submit()
    return await job.wait(timeout=30)


@app.post("/invoices/{month}", status_code=202)
async def write_invoices(month: Month) -> dict[str, str]:
    """Have a month's invoices written; the same month again is the same group of jobs."""
    if month >= f"{datetime.now(UTC):%Y-%m}":
        raise HTTPException(400, f"{month} is not over yet")
    job = await bill_month.submit(Billing(month=month), idempotency_key=f"bill/{month}")
    return {"group": await job.wait(timeout=30)}


@app.get("/invoices/{month}")
def month_report(month: Month) -> MonthlyReport:
    """Show the report that was made when all invoices of a month were written."""
    store = Store.of_this_shop()
    try:
        report = store.report_of(month)
    finally:
        store.close()
    if report is None:
        raise HTTPException(404, f"the invoices of {month} are not all written")
    return MonthlyReport.model_validate_json(report)
