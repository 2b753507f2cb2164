"""What users write and how it is called: declarations, contexts, runners, verdicts."""
