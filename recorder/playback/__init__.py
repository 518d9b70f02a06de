"""Playing what was captured: clocks of tracks, their frames in time, and files of them."""
