"""The page on which a person logs in with a key."""
