"""The pages of what people did: the journal, and one action on many jobs."""
