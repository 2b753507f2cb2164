"""Deciding who runs a job: leases, turns under a lock key, the claim."""
