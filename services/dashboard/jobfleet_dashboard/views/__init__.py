"""The pages: a folder per noun, whose ``routes`` has the router; beside them what they share.

The other files of a folder are the pure models that its templates show.
"""
