"""What a worker does beside its jobs: heartbeat, rescue, retention."""
