"""A long test: rooms full of people who come, go and have bad networks, and what is left of it."""
