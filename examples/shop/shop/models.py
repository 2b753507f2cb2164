"""What the web application, the handlers and the tests say to each other."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Order(BaseModel):
    """What a customer orders."""

    number: int = Field(ge=1)
    customer: str = Field(min_length=1)
    articles: list[str] = Field(min_length=1)


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
