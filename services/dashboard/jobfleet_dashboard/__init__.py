"""The dashboard service: REST API, live streams and pages over the ports of one backend."""
