"""The log of a job's handler: a part of the job's page, and a page without scripts."""
