"""Models that look at pictures, one small class each, and what they find.

Each takes a :class:`~analytics.detector.VideoFrame` and leaves its result in ``frame.shared``, so
that several detectors look once. Coordinates are pixels of the frame, origin top left. Networks
run on one thread: a host has many tracks and few cores.
"""
