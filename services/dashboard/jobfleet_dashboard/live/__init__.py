"""Committed events as they happen: one tail per process, many listeners."""
