"""`make bench`: jobfleet beside other job queues, in one run on one machine."""
