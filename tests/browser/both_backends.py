"""Marks journeys that are made on several backends.

``make test`` makes them on the embedded one, ``make test-full`` on RabbitMQ with Azure Storage
too. They are made on PostgreSQL where ``chaos`` is asked for. The conformance suites, which run in
``make test``, ask each backend all that a page asks.
"""

from __future__ import annotations

import pytest

_BACKENDS = (
    "embedded",
    pytest.param("azure", marks=[pytest.mark.servers, pytest.mark.full]),
    pytest.param("postgres", marks=[pytest.mark.servers, pytest.mark.chaos]),
)

on_both_backends = pytest.mark.parametrize("fleet", _BACKENDS, indirect=True)
on_own_of_both_backends = pytest.mark.parametrize("own_settings", _BACKENDS, indirect=True)
