"""Calls to other people's servers: guarded, bounded, and stopped where they fail too often."""
