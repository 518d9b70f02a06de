"""Writes capture files as the media plane does, and whole session directories."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from struct import pack

from recorder.digests import digests_of
from recorder.log import EventLog
from recorder.playback.clock import SenderReport
from recorder.playback.source import Item
from recorder.session_file import write_session
from tests.recorder.scene import ListedTrack


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = pack("<I", len(body) + 12)
    return pack("<I", kind) + size + body + size


def header() -> bytes:
    section = block(0x0A0D0D0A, pack("<IHHQ", 0x1A2B3C4D, 1, 0, 2**64 - 1))
    return section + block(1, pack("<HHI", 228, 0, 0))


def datagram(at_us: int, port: int, payload: bytes) -> bytes:
    size = 28 + len(payload)
    ip = pack("!BBHIBBH4s4s", 0x45, 0, size, 0x40000000, 64, 17, 0, b"\xc0\0\2\1", b"\xc0\0\2\2")
    udp = pack("!HHHH", 40_000, port, size - 20, 0)
    packet = ip + udp + payload
    head = pack("<IIIII", 0, at_us >> 32, at_us & 0xFFFFFFFF, size, size)
    options = pack("<HHI", 2, 4, 5) + pack("<HHQ", 5, 8, 1 << 62) + bytes(4)
    return block(6, head + packet + bytes(-size % 4) + options)


def written(item: Item) -> bytes:
    if not isinstance(item, SenderReport):
        return datagram(item.arrival_us, 5_004, item.data)
    seconds, rest = divmod(item.ntp_us, 1_000_000)
    fraction = -(-(rest << 32) // 1_000_000)
    fields = (0x80, 200, 6, item.ssrc, seconds, fraction, item.rtp_timestamp, 0, 0)
    return datagram(item.arrival_us, 5_005, pack("!BBHIIIIII", *fields))


def capture_file(items: Iterable[Item]) -> bytes:
    return header() + b"".join(map(written, items))


def write_recording(
    directory: Path,
    session: str,
    tracks: Sequence[ListedTrack],
    end_us: int,
    *,
    started_ns: int,
    sealable: bool = False,
) -> Path:
    """A session directory: two segments of every track, and the log of it all.

    Only what is ``sealable`` has the segments in its log.
    """
    write_session(directory, session=session, room="r1", started_ns=started_ns)
    place = directory / session
    with EventLog.open(place) as log:
        log.append("recording.started", {}, actor="rm", at=0)
        for track in tracks:
            info = track.info
            folder = place / "tracks" / info.track
            folder.mkdir(parents=True)
            number = 111 if info.codec == "opus" else 96
            listed = [{"codec": info.codec, "payload_type": number, "clock_rate": info.clock_rate}]
            if info.kind == "video":
                listed.insert(0, {"codec": "H264", "payload_type": 102, "clock_rate": 90_000})
            about = {
                "participant": info.participant,
                "name": info.name,
                "role": info.role,
                "kind": info.kind,
                "source": "microphone" if info.kind == "audio" else "camera",
                "formats": listed,
            }
            (folder / "track.json").write_text(json.dumps(about, ensure_ascii=False))
            times_us = [item.arrival_us for item in track.items]
            log.append("track.opened", {"track": info.track}, at=times_us[0])
            half = len(track.items) // 2
            borders_us = times_us[0], times_us[half], end_us
            for index, items in enumerate((track.items[:half], track.items[half:]), 1):
                file, data = folder / f"{index:06}.pcapng", capture_file(items)
                file.write_bytes(data)
                if sealable:
                    about = {"track": info.track, "segment": index, "file": file.name}
                    span = {"from_us": borders_us[index - 1], "to_us": borders_us[index]}
                    media = [item for item in items if not isinstance(item, SenderReport)]
                    size = {"bytes": len(data), "packets": len(media)}
                    digests = digests_of(data).to_json()
                    log.append("segment.closed", {**about, **span, **size, **digests}, at=end_us)
        payload = {"node": "risk", "attempt": 1, "supersedes": None}
        log.append("attempt.started", payload, actor="rm", at=500_000)
        ended = {"node": "risk", "attempt": 1, "reason": "done"}
        log.append("attempt.ended", ended, actor="rm", at=1_500_000)
        for track in tracks:
            log.append("track.closed", {"track": track.info.track}, at=end_us)
        log.append("recording.stopped", {}, actor="rm", at=end_us)
    return place
