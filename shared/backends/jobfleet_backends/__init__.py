"""Adapters: the only place that knows servers. ``open_backend`` is the one way in."""
