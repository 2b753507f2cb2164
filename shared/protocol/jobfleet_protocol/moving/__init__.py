"""Moving a fleet: its storage as one file, out of one backend and into another."""
