"""The one read side: what API, pages and command line show of jobs, masked and never half."""
