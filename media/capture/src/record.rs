//! One packet or mark on its way from the media thread to the writer, in the memory of a block.

use media_core::capture::{CaptureId, How, Mark};
use media_core::rtcp::{NtpTime, SenderInfo};

/// Bytes before the content of a record.
pub(crate) const HEAD: usize = 40;

const PACKET: u8 = 0;
const BEGIN: u8 = 1;
const PAUSE: u8 = 2;
const RESUME: u8 = 3;
const STOP: u8 = 4;
const CLOSE: u8 = 5;
const REPORT: u8 = 6;
const LOST: u8 = 7;
const EMPTY: u8 = 8;

/// Largest content of a record.
pub(crate) const MAX_CONTENT: usize = 4_096;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    Packet {
        encoding: u8,
        instance: u32,
        ext_seq: u64,
        how: How,
        bytes: &'a [u8],
    },
    Mark(Mark),
    /// So many packets since then found no room.
    Lost {
        packets: u64,
        since_ns: u64,
    },
}

/// A record with its time by `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) capture: CaptureId,
    pub(crate) at_ns: u64,
    pub(crate) kind: Kind<'a>,
}

/// The fixed part of a record: what kinds have in common.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    len: u32,
    kind: u8,
    encoding: u8,
    how: u8,
    instance: u32,
    capture: u64,
    at_ns: u64,
    number: u64,
}

impl Head {
    #[inline]
    fn bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[0..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4] = self.kind;
        bytes[5] = self.encoding;
        bytes[6] = self.how;
        bytes[8..12].copy_from_slice(&self.instance.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.capture.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.at_ns.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; HEAD]) -> Head {
        let u32_at = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("within"));
        let u64_at = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("within"));
        Head {
            len: u32_at(0),
            kind: bytes[4],
            encoding: bytes[5],
            how: bytes[6],
            instance: u32_at(8),
            capture: u64_at(16),
            at_ns: u64_at(24),
            number: u64_at(32),
        }
    }
}

/// Appends a packet; the caller has made sure that there is room.
#[inline]
pub(crate) fn push_packet(
    block: &mut Vec<u8>,
    at_ns: u64,
    packet: &media_core::capture::Captured<'_>,
) {
    let head = Head {
        len: (packet.head.len() + packet.payload.len()) as u32,
        kind: PACKET,
        encoding: packet.encoding,
        how: packet.how as u8,
        instance: packet.instance,
        capture: packet.capture,
        at_ns,
        number: packet.ext_seq,
    };
    block.extend_from_slice(&head.bytes());
    block.extend_from_slice(packet.head);
    block.extend_from_slice(packet.payload);
}

/// Appends a mark.
pub(crate) fn push_mark(block: &mut Vec<u8>, at_ns: u64, capture: CaptureId, mark: Mark) {
    let mut head = Head { capture, at_ns, ..Head::default() };
    let mut content = [0; 24];
    head.kind = match mark {
        Mark::Begin => BEGIN,
        Mark::Pause => PAUSE,
        Mark::Resume => RESUME,
        Mark::Stop => STOP,
        Mark::Close => CLOSE,
        Mark::Empty { encoding, instance, ext_seq } => {
            (head.encoding, head.instance, head.number) = (encoding, instance, ext_seq);
            EMPTY
        }
        Mark::Report { encoding, instance, info } => {
            (head.encoding, head.instance, head.len) = (encoding, instance, 24);
            content[0..4].copy_from_slice(&info.ssrc.to_le_bytes());
            content[4..12].copy_from_slice(&info.ntp.0.to_le_bytes());
            content[12..16].copy_from_slice(&info.rtp_timestamp.to_le_bytes());
            content[16..20].copy_from_slice(&info.packet_count.to_le_bytes());
            content[20..24].copy_from_slice(&info.octet_count.to_le_bytes());
            REPORT
        }
    };
    block.extend_from_slice(&head.bytes());
    block.extend_from_slice(&content[..head.len as usize]);
}

/// Appends how much found no room.
pub(crate) fn push_lost(
    block: &mut Vec<u8>,
    (since_ns, at_ns): (u64, u64),
    capture: CaptureId,
    packets: u64,
) {
    let head = Head { kind: LOST, len: 8, capture, at_ns, number: packets, ..Head::default() };
    block.extend_from_slice(&head.bytes());
    block.extend_from_slice(&since_ns.to_le_bytes());
}

/// The records of a block, in order.
pub(crate) fn records(mut block: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = block.split_first_chunk::<HEAD>()?;
        let head = Head::parse(head);
        let (content, rest) = rest.split_at_checked(head.len as usize)?;
        block = rest;
        let kind = kind_of(&head, content)?;
        Some(Record { capture: head.capture, at_ns: head.at_ns, kind })
    })
}

fn kind_of<'a>(head: &Head, content: &'a [u8]) -> Option<Kind<'a>> {
    let mark = match head.kind {
        PACKET => {
            return Some(Kind::Packet {
                encoding: head.encoding,
                instance: head.instance,
                ext_seq: head.number,
                how: How::from_byte(head.how)?,
                bytes: content,
            });
        }
        LOST => {
            let since_ns = u64::from_le_bytes(*content.first_chunk()?);
            return Some(Kind::Lost { packets: head.number, since_ns });
        }
        BEGIN => Mark::Begin,
        PAUSE => Mark::Pause,
        RESUME => Mark::Resume,
        STOP => Mark::Stop,
        CLOSE => Mark::Close,
        EMPTY => {
            let (encoding, instance, ext_seq) = (head.encoding, head.instance, head.number);
            Mark::Empty { encoding, instance, ext_seq }
        }
        REPORT => {
            let u32_at = |at: usize| Some(u32::from_le_bytes(*content.get(at..)?.first_chunk()?));
            let info = SenderInfo {
                ssrc: u32_at(0)?,
                ntp: NtpTime(u64::from_le_bytes(*content.get(4..)?.first_chunk()?)),
                rtp_timestamp: u32_at(12)?,
                packet_count: u32_at(16)?,
                octet_count: u32_at(20)?,
            };
            Mark::Report { encoding: head.encoding, instance: head.instance, info }
        }
        _ => return None,
    };
    Some(Kind::Mark(mark))
}

#[cfg(test)]
mod tests {
    use media_core::capture::Captured;

    use super::*;

    #[test]
    fn records_come_out_as_they_went_in() {
        let mut block = Vec::new();
        let packet = Captured {
            capture: 7,
            encoding: 2,
            instance: 9,
            ext_seq: u64::MAX - 1,
            how: How::Copy,
            head: b"head",
            payload: b"payload",
        };
        let info = SenderInfo {
            ssrc: 1,
            ntp: NtpTime(u64::MAX),
            rtp_timestamp: 3,
            packet_count: 4,
            octet_count: 5,
        };
        let report = Mark::Report { encoding: 1, instance: 3, info };
        push_packet(&mut block, 11, &packet);
        let empty = Mark::Empty { encoding: 3, instance: 9, ext_seq: u64::MAX };
        for mark in [Mark::Begin, Mark::Pause, Mark::Resume, report, Mark::Stop, Mark::Close, empty]
        {
            push_mark(&mut block, 12, 8, mark);
        }
        push_lost(&mut block, (1, 13), 9, 4);
        let found: Vec<Record<'_>> = records(&block).collect();
        assert_eq!(found.len(), 9);
        assert_eq!(
            found[0],
            Record {
                capture: 7,
                at_ns: 11,
                kind: Kind::Packet {
                    encoding: 2,
                    instance: 9,
                    ext_seq: u64::MAX - 1,
                    how: How::Copy,
                    bytes: b"headpayload",
                },
            }
        );
        assert_eq!(found[4].kind, Kind::Mark(report));
        assert_eq!(found[6].kind, Kind::Mark(Mark::Close));
        assert_eq!(found[7].kind, Kind::Mark(empty));
        assert_eq!(found[8].kind, Kind::Lost { packets: 4, since_ns: 1 });
    }

    #[test]
    fn a_torn_block_ends_early() {
        let mut block = Vec::new();
        push_mark(&mut block, 1, 2, Mark::Begin);
        push_lost(&mut block, (0, 1), 2, 3);
        for len in HEAD..block.len() {
            assert_eq!(records(&block[..len]).count(), 1, "{len}");
        }
    }
}
