"""What callers ask of a job: submit, cancel, redrive, answer, and what an ending causes."""
