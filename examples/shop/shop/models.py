"""What the web application, the handlers and the tests say to each other."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, Field

Month = Annotated[str, Field(pattern="^[0-9]{4}-(0[1-9]|1[0-2])$")]
"""As in ``2026-11``."""


class Order(BaseModel):
    """What a customer orders."""

    number: int = Field(ge=1)
    customer: str = Field(min_length=1)
    articles: list[str] = Field(min_length=1)
    day: date | None = None


class Confirmation(BaseModel):
    """A confirmed order."""

    number: int
    total: float


class Payment(BaseModel):
    """What is taken from a customer."""

    order: int
    amount: float = Field(gt=0)


class Article(BaseModel):
    """A line of the price list."""

    name: str
    price: float = Field(gt=0)


class DailyReport(BaseModel):
    """What was sold."""

    orders: int
    total: float


class Billing(BaseModel):
    """A month to be billed."""

    month: Month


class Bill(BaseModel):
    """A customer who gets an invoice for a month."""

    customer: str
    month: Month


class Invoice(BaseModel):
    """What a customer bought in a month."""

    customer: str
    total: float


class MonthsInvoices(BaseModel):
    """All invoices of a month; ``None`` stands for one that could not be written."""

    month: Month
    invoices: list[Invoice | None]


class MonthlyReport(BaseModel):
    """What a month came to."""

    month: Month
    invoices: int
    missing: int
    total: float
