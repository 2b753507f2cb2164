"""What the handler of a job said: a part of the job's page, and a page without scripts."""
