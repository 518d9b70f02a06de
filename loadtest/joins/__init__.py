"""How long it takes to get into a call over a bad network, measured with real browsers."""
