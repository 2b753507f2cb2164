"""Handlers that every worker has."""
