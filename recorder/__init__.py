"""What becomes of a recorded session: its event log, its files, and the evidence made of them."""
