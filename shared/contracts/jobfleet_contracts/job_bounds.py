"""Bounds of a job's settings, for those who check them without the model of a request."""

MAX_ATTEMPTS = 100
MAX_RETRY_DELAY_SECONDS = 86_400
MAX_TAKEOVER_LIMIT = 100
MAX_TIMEOUT_SECONDS = 30 * 86_400
