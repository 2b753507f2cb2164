"""What is decided about the fleet: the control log, schedules, pauses and limits."""
