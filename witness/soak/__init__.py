"""``witness loadtest soak``: a server, a long test of it, and a verdict."""
