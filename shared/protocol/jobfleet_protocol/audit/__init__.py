"""Checking stored data against the rules of the protocol."""
