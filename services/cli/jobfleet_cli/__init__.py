"""The one entry point, ``jobfleet``: mounts the commands of every service."""
