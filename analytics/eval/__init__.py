"""How right detectors are: labelled clips, what detectors make of them, and the sums."""
