"""Decoders of pictures, by the name of the codec."""

from typing import Any, Final

import av

__all__ = ["picture_decoder"]

_DECODERS: Final = {"av1": "libdav1d"}
"""Where libav's decoder of that name needs a graphics card."""


def picture_decoder(codec: str) -> Any:
    """A decoder with one thread: tracks are decoded beside each other."""
    decoder = av.Codec(_DECODERS.get(codec, codec), "r").create("video")
    decoder.thread_count = 1
    return decoder
