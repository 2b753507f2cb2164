"""The warm processes in which handlers declared with ``run_in="process"`` run."""
