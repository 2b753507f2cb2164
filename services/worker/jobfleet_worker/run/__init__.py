"""Running a job: from the message to the recorded outcome."""
