"""Queues: ``/queues``."""
