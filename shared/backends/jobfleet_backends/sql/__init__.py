"""What the SQL backends share: events and messages as rows, operations on the way to a thread."""
