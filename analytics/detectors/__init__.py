"""The detectors that come with Witness."""
