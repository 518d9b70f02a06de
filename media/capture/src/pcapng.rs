//! Blocks of a pcapng file (draft-ietf-opsawg-pcapng): RTP in UDP in IPv4, little-endian.
//!
//! Addresses and ports are made up, from the range for documentation (RFC 5737): what counts is
//! what they tell apart. The real addresses of people are not part of a recording.

use media_core::capture::How;
use media_core::rtcp::SenderInfo;

/// Port media goes to. Reports go to the next one.
pub const MEDIA_PORT: u16 = 5_004;
/// Port the media of the first encoding comes from; two for each, the odd one for reports.
pub const FIRST_ENCODING_PORT: u16 = 40_000;
/// `LINKTYPE_IPV4`.
pub const LINK_TYPE: u16 = 228;

const SOURCE: [u8; 4] = [192, 0, 2, 1];
const DESTINATION: [u8; 4] = [192, 0, 2, 2];

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

const IP_LEN: usize = 20;
const UDP_LEN: usize = 8;
/// Block type and length, interface, time, two lengths.
const PACKET_HEAD: usize = 28;
/// Flags, packet identifier, end of options.
const PACKET_OPTIONS: usize = 8 + 12 + 4;
/// Bytes a packet takes beside its own, without padding.
pub const PACKET_OVERHEAD: usize = PACKET_HEAD + IP_LEN + UDP_LEN + PACKET_OPTIONS + 4;

/// Bits of a packet identifier that hold the extended sequence number.
const NUMBER_BITS: u32 = 48;
/// Streams of a track that can be told apart; then numbers repeat.
pub const MAX_STREAMS: u16 = 1 << 14;

/// What a packet is, beside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct PacketInfo {
    /// µs of the session clock.
    pub at_us: u64,
    /// Index of the encoding.
    pub encoding: u8,
    /// Which stream of the track, counting from zero: numbers of another are others.
    pub stream: u16,
    /// Extended sequence number.
    pub ext_seq: u64,
    /// By which way it came.
    pub how: How,
}

impl PacketInfo {
    /// The `epb_packetid` option: 2 bits for the way, 14 for the stream, 48 for the number.
    fn identifier(&self) -> u64 {
        let number = self.ext_seq & ((1 << NUMBER_BITS) - 1);
        let stream = u64::from(self.stream % MAX_STREAMS);
        (self.how as u64) << 62 | stream << NUMBER_BITS | number
    }
}

fn push_option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(u16::MAX.into())];
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Starts a block whose length is not known yet; returns where it began.
fn begin(out: &mut Vec<u8>, kind: u32) -> usize {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    start
}

fn end(out: &mut Vec<u8>, start: usize) {
    out.extend_from_slice(&[0; 4]);
    let len = (out.len() + 4 - start) as u32;
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
}

/// Appends what a file begins with: the section and its only interface, the track.
///
/// Args: `about` is JSON; times of packets are µs since `wall_us`, of which the file can say whole
/// seconds in its own way, and the rest in `about`.
pub fn push_header(
    out: &mut Vec<u8>,
    (name, description): (&str, &str),
    about: &str,
    wall_us: i64,
) {
    let start = begin(out, SECTION);
    out.extend_from_slice(&BYTE_ORDER.to_le_bytes());
    out.extend_from_slice(&[1, 0, 0, 0]);
    out.extend_from_slice(&u64::MAX.to_le_bytes());
    push_option(out, 4, b"Witness");
    end(out, start);

    let start = begin(out, INTERFACE);
    out.extend_from_slice(&LINK_TYPE.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    push_option(out, 1, about.as_bytes());
    push_option(out, 2, name.as_bytes());
    push_option(out, 3, description.as_bytes());
    push_option(out, 9, &[6]);
    push_option(out, 14, &wall_us.div_euclid(1_000_000).to_le_bytes());
    end(out, start);
}

/// Appends an RTP packet.
pub fn push_rtp(out: &mut Vec<u8>, info: &PacketInfo, packet: &[u8]) {
    let source = FIRST_ENCODING_PORT + 2 * u16::from(info.encoding);
    push_datagram(out, info, (source, MEDIA_PORT), packet);
}

/// Appends a sender report without report blocks (RFC 3550, section 6.4.1).
pub fn push_report(out: &mut Vec<u8>, info: &PacketInfo, report: &SenderInfo) {
    let mut packet = [0; 28];
    packet[..4].copy_from_slice(&[0x80, 200, 0, 6]);
    packet[4..8].copy_from_slice(&report.ssrc.to_be_bytes());
    packet[8..16].copy_from_slice(&report.ntp.0.to_be_bytes());
    packet[16..20].copy_from_slice(&report.rtp_timestamp.to_be_bytes());
    packet[20..24].copy_from_slice(&report.packet_count.to_be_bytes());
    packet[24..28].copy_from_slice(&report.octet_count.to_be_bytes());
    let source = FIRST_ENCODING_PORT + 2 * u16::from(info.encoding) + 1;
    push_datagram(out, info, (source, MEDIA_PORT + 1), &packet);
}

fn push_datagram(out: &mut Vec<u8>, info: &PacketInfo, ports: (u16, u16), payload: &[u8]) {
    let captured = IP_LEN + UDP_LEN + payload.len();
    let padding = captured.next_multiple_of(4) - captured;
    let len = (PACKET_HEAD + captured + padding + PACKET_OPTIONS + 4) as u32;
    let mut head = [0; PACKET_HEAD];
    head[0..4].copy_from_slice(&ENHANCED_PACKET.to_le_bytes());
    head[4..8].copy_from_slice(&len.to_le_bytes());
    head[12..16].copy_from_slice(&((info.at_us >> 32) as u32).to_le_bytes());
    head[16..20].copy_from_slice(&(info.at_us as u32).to_le_bytes());
    head[20..24].copy_from_slice(&(captured as u32).to_le_bytes());
    head[24..28].copy_from_slice(&(captured as u32).to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(&ip_and_udp(captured as u16, ports));
    out.extend_from_slice(payload);
    out.extend_from_slice(&[0; 3][..padding]);
    // Flags: it came in, to one receiver.
    out.extend_from_slice(&[2, 0, 4, 0, 0b101, 0, 0, 0]);
    out.extend_from_slice(&[5, 0, 8, 0]);
    out.extend_from_slice(&info.identifier().to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&len.to_le_bytes());
}

/// Headers of a datagram of `len` bytes, these included (RFC 791, RFC 768). Without a UDP
/// checksum, as IPv4 allows.
fn ip_and_udp(len: u16, (source, destination): (u16, u16)) -> [u8; IP_LEN + UDP_LEN] {
    let mut bytes = [0; IP_LEN + UDP_LEN];
    bytes[..2].copy_from_slice(&[0x45, 0]);
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes[6..10].copy_from_slice(&[0x40, 0, 64, 17]);
    bytes[12..16].copy_from_slice(&SOURCE);
    bytes[16..20].copy_from_slice(&DESTINATION);
    let sum: u32 = bytes[..IP_LEN]
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    bytes[20..22].copy_from_slice(&source.to_be_bytes());
    bytes[22..24].copy_from_slice(&destination.to_be_bytes());
    bytes[24..26].copy_from_slice(&(len - IP_LEN as u16).to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use media_core::rtcp::NtpTime;

    use super::*;

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(*bytes[at..].first_chunk().unwrap())
    }

    fn blocks(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let len = u32_at(bytes, 4) as usize;
            assert_eq!(len % 4, 0);
            assert_eq!(u32_at(bytes, len - 4) as usize, len);
            found.push((u32_at(bytes, 0), &bytes[..len]));
            bytes = &bytes[len..];
        }
        found
    }

    const INFO: PacketInfo = PacketInfo {
        at_us: 0x1_2345_6789,
        encoding: 2,
        stream: 5,
        ext_seq: 70_000,
        how: How::Retransmitted,
    };

    #[test]
    fn blocks_of_every_length_are_whole() {
        let mut out = Vec::new();
        push_header(&mut out, ("t_1", "camera"), "{\"a\":1}", 1_700_000_000_999_999);
        for len in 0..9 {
            push_rtp(&mut out, &INFO, &vec![0x80; len]);
        }
        let blocks = blocks(&out);
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds[..2], [SECTION, INTERFACE]);
        assert!(kinds[2..].iter().all(|kind| *kind == ENHANCED_PACKET));
        for (len, (_, block)) in blocks[2..].iter().enumerate() {
            assert_eq!(u32_at(block, 12), 1);
            assert_eq!(u32_at(block, 16), 0x2345_6789);
            assert_eq!(u32_at(block, 20) as usize, IP_LEN + UDP_LEN + len);
            assert!(block.len() - len - PACKET_OVERHEAD < 4);
            let identifier = (block.len() - 4 - 4 - 8)..(block.len() - 4 - 4);
            let identifier = u64::from_le_bytes(block[identifier].try_into().unwrap());
            assert_eq!(identifier, 1 << 62 | 5 << 48 | 70_000);
        }
    }

    #[test]
    fn the_checksum_of_the_ip_header_is_right() {
        for len in [28, 1_228, 60_000] {
            let bytes = ip_and_udp(len, (40_002, 5_004));
            let sum: u32 = bytes[..IP_LEN]
                .chunks_exact(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        }
    }

    #[test]
    fn a_report_is_rtcp_on_the_port_after_media() {
        let mut out = Vec::new();
        let report = SenderInfo {
            ssrc: 7,
            ntp: NtpTime(9),
            rtp_timestamp: 11,
            packet_count: 13,
            octet_count: 17,
        };
        push_report(&mut out, &INFO, &report);
        let packet = &out[PACKET_HEAD + IP_LEN + UDP_LEN..][..28];
        assert_eq!(&out[PACKET_HEAD + IP_LEN..][..4], &[0x9c, 0x45, 0x13, 0x8d]);
        let parsed: Vec<_> = media_core::rtcp::parse(packet).collect();
        let media_core::rtcp::RtcpPacket::SenderReport(found) = parsed[0].as_ref().unwrap() else {
            panic!("no sender report");
        };
        assert_eq!(found.info, report);
    }
}
