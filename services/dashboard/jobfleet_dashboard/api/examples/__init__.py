"""Examples in the API's description; a test holds each against its shape."""
