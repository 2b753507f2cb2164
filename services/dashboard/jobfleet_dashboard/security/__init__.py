"""Who may do what, and what a browser or a stranger may not."""
