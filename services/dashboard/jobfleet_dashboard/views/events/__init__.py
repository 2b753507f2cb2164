"""What happened in the fleet, in a range of time."""
