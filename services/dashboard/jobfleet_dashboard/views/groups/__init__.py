"""The page of one group of jobs."""
