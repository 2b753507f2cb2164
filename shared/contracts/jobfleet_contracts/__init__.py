"""Shapes and ports that every part of jobfleet speaks; imports nothing else of ours."""
