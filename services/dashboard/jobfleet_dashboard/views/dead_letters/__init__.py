"""The page of dead jobs and dead letters, grouped by cause."""
