//! RTP and RTCP packets have the bytes aiortc gives them.
//!
//! `data/make_rtp_vectors.py` wrote the packets.

use media_core::ext::ExtensionBuilder;
use media_core::rtcp::{self, NtpTime, Pli, ReportBlock, RtcpPacket, SenderInfo};
use media_core::rtp::SeqNo;

const VECTORS: &str = include_str!("data/rtp_vectors.txt");

fn vector(name: &str) -> Vec<u8> {
    let line = VECTORS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let text = line.expect("the name is in the file");
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn assert_same(name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    let mut out = Vec::new();
    write(&mut out);
    assert_eq!(out, vector(name), "{name}");
}

fn block(ssrc: u32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 17,
        cumulative_lost: -3,
        highest_sequence: 0x0002_ffff,
        jitter: 1234,
        last_sr: 0xaabb_ccdd,
        delay_since_last_sr: 77,
    }
}

#[test]
fn rtcp_packets_are_the_same_bytes() {
    let info = SenderInfo {
        ssrc: 1,
        ntp: NtpTime(0xe000_0001_8000_0000),
        rtp_timestamp: 90_000,
        packet_count: 10,
        octet_count: u32::MAX,
    };
    let lost = [12, 13, 28, 29, 65535].map(SeqNo);
    assert_same("sender_report", |out| {
        rtcp::write_sender_report(out, &info, &[block(2), block(3)]);
    });
    assert_same("receiver_report", |out| rtcp::write_receiver_report(out, 1, &[block(2)]));
    assert_same("cname", |out| rtcp::write_cnames(out, &[(9, "{abcdef}")]).unwrap());
    assert_same("bye", |out| rtcp::write_bye(out, &[1, 2, 3], "").unwrap());
    assert_same("nack", |out| rtcp::write_nack(out, 1, 2, &lost));
    assert_same("pli", |out| rtcp::write_pli(out, Pli { sender_ssrc: 1, media_ssrc: 2 }));
    assert_same("remb", |out| rtcp::write_remb(out, 1, 1_234_567, &[5, 6]).unwrap());
}

#[test]
fn rtcp_packets_are_all_understood() {
    let names = ["sender_report", "receiver_report", "cname", "bye", "nack", "pli", "remb"];
    let compound: Vec<u8> = names.iter().flat_map(|name| vector(name)).collect();
    let packets: Vec<_> = rtcp::parse(&compound).map(Result::unwrap).collect();
    assert_eq!(packets.len(), names.len());
    assert!(!packets.iter().any(|packet| matches!(packet, RtcpPacket::Other { .. })));
}

#[test]
fn header_extension_blocks_are_the_same_bytes() {
    assert_same("one_byte_extensions", |out| {
        write_extensions(out, [(1, b"0"), (3, &[0; 3]), (14, &[b'x'; 16])]);
    });
    assert_same("two_byte_extensions", |out| {
        write_extensions(out, [(1, b"0"), (16, b""), (255, &[b'x'; 17])]);
    });
}

fn write_extensions(out: &mut Vec<u8>, elements: [(u8, &[u8]); 3]) {
    let mut builder = ExtensionBuilder::default();
    for (id, data) in elements {
        builder.push(id, data).unwrap();
    }
    out.resize(builder.block_len(), 0);
    builder.write(out).unwrap();
}
