"""The first page: whether the fleet is well, and what happened last."""
