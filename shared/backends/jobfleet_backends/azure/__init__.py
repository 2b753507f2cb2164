"""Azure Storage behind the ports of the trail, leases, index, payloads and worker directory."""
