"""The index on Azure tables: its rows, writer and readers."""
