"""The embedded backend: every port over one SQLite file, for several processes at once."""
