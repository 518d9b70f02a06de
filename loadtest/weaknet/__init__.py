"""What people hear and see over a bad network, measured with real browsers."""
