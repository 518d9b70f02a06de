"""Fuzzes what the analytics host reads: messages of the tap, lines of the server and of workers.

``python -m tests.fuzz.fuzz_tap --seconds 60``
"""

import json
import sys
from contextlib import suppress

from pydantic import ValidationError

from tests.analytics.host.media import Camera, Microphone, record
from tests.fuzz.runner import instrumented, main

with instrumented("analytics.host.tap", "analytics.link", "analytics.host.wire"):
    from analytics.host.tap import CODECS, TapFormatError, parse_message
    from analytics.host.wire import from_worker, likely_of
    from analytics.link import from_host, to_host


def target(data: bytes) -> None:
    """Whatever comes, it is understood or refused."""
    with suppress(TapFormatError):
        packets = parse_message(data)
        assert sum(40 + len(packet.data) for packet in packets) == len(data)
        assert all(packet.codec in CODECS for packet in packets)
    for parse in (to_host, from_host, from_worker):
        with suppress(ValidationError):
            line = parse(data).model_dump_json().encode()
            assert parse(line).model_dump_json().encode() == line
    with suppress(ValidationError, ValueError, RecursionError):
        assert len(likely_of(json.loads(data))) <= 512


def seeds() -> list[bytes]:
    """Media of both kinds, and lines of each form."""
    lines = [
        b'{"type":"consents","session_id":"s","participant_id":"a","permissions":["face"]}',
        b'{"type":"mark","session_id":"s","kind":"challenge","at_us":5,"data":{"a":[1,null]}}',
        b'{"type":"unknown","finding_id":"1","session_id":"s","detector":"d","cause":"hung","start_us":1,"end_us":2}',
        b'{"type":"keyframe","tap":7}',
        b'{"type":"id_photo","session_id":"s","participant_id":"a","data":"_9j_4A=="}',
        b'{"type":"id_photo.done","session_id":"s","participant_id":"a","is_readable":false}',
        b'{"type":"out","watch":1,"kind":"finding","data":{"kind":"k","score":0.5}}',
        b'[{"text":"a","score":-1.5},{"text":"","score":0}]',
        b'{"type":"done","batch":1,"seconds":{"d":0.5}}',
    ]
    return [
        Camera().message(0),
        Microphone().message(0) + record(b"", number=4),
        record(b"abc", turns=3),
        *lines,
    ]


if __name__ == "__main__":
    sys.exit(main("tap", target, seeds()))
