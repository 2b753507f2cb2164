"""The page of the job types."""
