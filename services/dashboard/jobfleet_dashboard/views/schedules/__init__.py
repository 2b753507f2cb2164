"""Schedules: ``/schedules`` and ``/schedules/{name}``."""
