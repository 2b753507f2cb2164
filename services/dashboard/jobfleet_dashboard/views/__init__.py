"""The pages: one file per noun with a ``router``, and the pure models that templates show."""
