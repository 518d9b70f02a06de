"""``ffmpeg`` for machines whose own is too old for WHIP: its libraries in PyAV do what it is told.

Takes the options that the documents use and refuses others, so nothing is left out silently.
"""

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.audio.resampler import AudioResampler
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import PictureType

_OF_VIDEO = {"-profile:v": "profile", "-bf": "bf", "-g": "g"}
_OF_MUXER = {"-cert_file": "cert_file", "-key_file": "key_file", "-authorization": "authorization"}
_READ_HERE = {"-i", "-c:v", "-c:a", "-ar", "-ac", "-f", "-pix_fmt"}


def parse(arguments: list[str]) -> tuple[dict[str, str], str]:
    """Options with their values (``-re`` has none), and the address at the end."""
    *rest, address = arguments
    options: dict[str, str] = {}
    words = iter(rest)
    for word in words:
        if word == "-re":
            continue
        if word not in _READ_HERE | _OF_VIDEO.keys() | _OF_MUXER.keys():
            raise SystemExit(f"ffmpeg_by_pyav knows no {word}")
        options[word] = next(words)
    if "-re" not in rest:
        raise SystemExit("without -re a clip is over at once")
    return options, address


def packets(
    source: InputContainer, output: OutputContainer, options: dict[str, str]
) -> Iterator["Packet[Any]"]:
    """Encodes what is in the file, in its order."""
    picture, sound = source.streams.video[0], source.streams.audio[0]
    video = output.add_stream(
        options["-c:v"],
        rate=picture.average_rate,
        options={name: options[flag] for flag, name in _OF_VIDEO.items() if flag in options},
    )
    assert isinstance(video, av.VideoStream)
    video.width, video.height, video.pix_fmt = picture.width, picture.height, options["-pix_fmt"]
    video.time_base = Fraction(1, 90_000)
    rate, layout = int(options["-ar"]), {"1": "mono", "2": "stereo"}[options["-ac"]]
    audio = output.add_stream(options["-c:a"], rate=rate)
    assert isinstance(audio, av.AudioStream)
    audio.layout = layout
    output.start_encoding()
    resampler = AudioResampler(audio.format, layout, rate, audio.codec_context.frame_size)
    for frame in source.decode(picture, sound):
        if isinstance(frame, av.VideoFrame):
            frame.pict_type = PictureType.NONE
            yield from video.encode(frame)
        elif isinstance(frame, av.AudioFrame):
            for part in resampler.resample(frame):
                yield from audio.encode(part)


def main(arguments: list[str]) -> None:
    """Publishes at the speed of the clip until it is over, or until Ctrl+C."""
    options, address = parse(arguments)
    of_muxer = {name: options[flag] for flag, name in _OF_MUXER.items() if flag in options}
    with (
        av.open(options["-i"]) as source,
        av.open(address, "w", format=options["-f"], options=of_muxer) as output,
    ):
        start_s = time.monotonic()
        try:
            for packet in packets(source, output, options):
                if packet.pts is not None and packet.time_base is not None:
                    ahead_s = float(packet.pts * packet.time_base) - (time.monotonic() - start_s)
                    time.sleep(max(0.0, ahead_s))
                output.mux(packet)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
