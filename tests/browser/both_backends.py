"""Marks journeys that are made on the embedded backend and on RabbitMQ with Azure Storage."""

from __future__ import annotations

import pytest

_BACKENDS = ("embedded", pytest.param("azure", marks=pytest.mark.servers))

on_both_backends = pytest.mark.parametrize("fleet", _BACKENDS, indirect=True)
on_own_of_both_backends = pytest.mark.parametrize("own_settings", _BACKENDS, indirect=True)
