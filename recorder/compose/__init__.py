"""One film of a whole session: everybody beside each other, with names, time, nodes and gaps."""
