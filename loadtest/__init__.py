"""Synthetic participants on an independent WebRTC stack (aiortc), for the demo and for tests."""
