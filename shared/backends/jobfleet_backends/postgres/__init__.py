"""The PostgreSQL backend: everything in one schema of one database."""
