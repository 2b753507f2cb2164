"""The protocol: why a job runs once. Pure logic over ports; docs/protocol.md tells it in prose."""
