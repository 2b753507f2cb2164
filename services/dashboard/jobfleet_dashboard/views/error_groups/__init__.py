"""The pages of failures: the groups, and one group with its jobs."""
