"""Why a job has not started: a part of its page, and a page without scripts."""
