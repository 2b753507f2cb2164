"""What a worker counts, and the server that shows it."""
