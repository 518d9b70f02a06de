"""Detectors that watch a call from outside of it, and can't hurt it."""
