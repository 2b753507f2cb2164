"""The page of the lock keys in use."""
