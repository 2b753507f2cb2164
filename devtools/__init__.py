"""Tools for developing jobfleet; never part of the wheel."""
