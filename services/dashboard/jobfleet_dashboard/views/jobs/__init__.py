"""The list of jobs, its filter, and actions on many jobs at once."""
