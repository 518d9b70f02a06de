"""Sound of people: whether somebody speaks, what is said, and what that means."""
