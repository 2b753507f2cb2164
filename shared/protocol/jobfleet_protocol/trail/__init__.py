"""Writing one job's trail: which event may follow which, and the append rule."""
