//! Parsers under mutated input: nothing may panic, loop or read outside, and what was accepted
//! stays within the packet. Seeded, so a failure repeats.

use std::hint::black_box;
use std::time::Duration;

use media_core::api::SrtpProfile;
use media_core::ext::{AbsSendTime, AudioLevel, Elements, StreamId, transport_sequence};
use media_core::rtcp::{
    self, FirEntry, NtpTime, Pli, ReportBlock, RtcpPacket, SenderInfo, TwccWriter, XrBlock,
};
use media_core::rtp::{RtpHeader, SeqNo};
use media_core::srtp::{MAX_OVERHEAD, SrtpKeys};

const ROUNDS: usize = 100_000;

/// Xorshift: repeatable, and good enough to choose bytes.
struct Random(u64);

impl Random {
    fn next(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    /// Flips bits, sets bytes to edge values, cuts, extends or repeats a piece.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut data = seed.to_vec();
        for _ in 0..=self.next(4) {
            let at = self.next(data.len().max(1));
            match self.next(6) {
                0 => data.truncate(at),
                1 => data.extend((0..self.next(9)).map(|byte| byte as u8)),
                2 => data.extend_from_within(at.min(data.len())..),
                kind => {
                    let edges = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
                    let edge = edges[self.next(edges.len())];
                    let bit = 1 << self.next(8);
                    if let Some(byte) = data.get_mut(at) {
                        *byte = if kind == 3 { edge } else { *byte ^ bit };
                    }
                }
            }
        }
        data
    }
}

fn rtp_packet() -> Vec<u8> {
    let mut packet = vec![0xb2, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5];
    packet.extend_from_slice(&[0xbe, 0xde, 0, 3, 0x10, 9, 0x22, 1, 2, 3, 0, 0x31, 4, 5, 0, 0]);
    packet.extend_from_slice(b"payload\0\0\x03");
    packet
}

fn compound() -> Vec<u8> {
    let block = ReportBlock { ssrc: 1, cumulative_lost: -5, ..ReportBlock::default() };
    let mut out = Vec::new();
    rtcp::write_sender_report(&mut out, &SenderInfo::default(), &[block; 3]);
    rtcp::write_cnames(&mut out, &[(1, "name"), (2, "")]).unwrap();
    rtcp::write_nack(&mut out, 1, 2, &[1, 5, 9, 200].map(SeqNo));
    rtcp::write_pli(&mut out, Pli { sender_ssrc: 1, media_ssrc: 2 });
    rtcp::write_fir(&mut out, 1, &[FirEntry { ssrc: 1, sequence: 7 }; 2]);
    rtcp::write_remb(&mut out, 1, 1_000_000, &[1, 2]).unwrap();
    rtcp::write_receiver_reference_time(&mut out, 1, NtpTime(77));
    let arrivals: Vec<_> = (0..40)
        .map(|index| (index % 5 != 0).then(|| Duration::from_millis(index * index)))
        .collect();
    TwccWriter::default().write(&mut out, 1, 2, SeqNo(65530), &arrivals);
    rtcp::write_bye(&mut out, &[1, 2], "reason").unwrap();
    out
}

/// Reads everything a packet offers; returns how many items that were.
fn read_all(packet: RtcpPacket<'_>) -> usize {
    match packet {
        RtcpPacket::SenderReport(report) => report.blocks().count(),
        RtcpPacket::ReceiverReport(report) => report.blocks().count(),
        RtcpPacket::Sdes(sdes) => sdes.cnames().map(|(_, name)| black_box(name).len()).sum(),
        RtcpPacket::Bye(bye) => bye.ssrcs().count() + bye.reason.map_or(0, <[u8]>::len),
        RtcpPacket::Nack(nack) => nack.lost().count(),
        RtcpPacket::TransportFeedback(feedback) => {
            let count = feedback.packets().count();
            assert_eq!(count, usize::from(feedback.status_count));
            count
        }
        RtcpPacket::Pli(pli) => black_box(pli).media_ssrc as usize & 1,
        RtcpPacket::Fir(fir) => fir.entries().count(),
        RtcpPacket::Remb(remb) => remb.ssrcs().count(),
        RtcpPacket::Xr(report) => report
            .blocks()
            .map(|block| match block {
                XrBlock::DelaySinceLastRr(entries) => entries.count(),
                _ => 1,
            })
            .sum(),
        RtcpPacket::Other { .. } => 0,
    }
}

#[test]
fn mutated_rtp_packets_are_survived() {
    let (seed, mut random) = (rtp_packet(), Random(1));
    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let packet = random.mutate(&seed);
        let Ok(header) = RtpHeader::parse(&packet) else { continue };
        accepted += 1;
        assert!(header.header_len <= header.payload_end && header.payload_end <= packet.len());
        assert_eq!(header.csrcs(&packet).count(), usize::from(header.csrc_count));
        for element in header.extensions(&packet).flatten() {
            let _ = black_box(AudioLevel::parse(element.data));
            let _ = black_box(StreamId::parse(element.data));
            let _ = black_box(AbsSendTime::parse(element.data));
            let _ = black_box(transport_sequence(element.data));
        }
    }
    assert!((ROUNDS / 10..ROUNDS).contains(&accepted), "{accepted}");
}

#[test]
fn mutated_extension_blocks_are_survived() {
    let one_byte = [0x10, 9, 0x22, 1, 2, 3, 0, 0x31, 4, 5, 0, 0];
    let two_byte = [1, 0, 0, 2, 3, 1, 2, 3, 255, 1, 9, 0];
    let mut random = Random(2);
    for _ in 0..ROUNDS {
        for (profile, seed) in [(0xbede, one_byte), (0x1000, two_byte)] {
            let block = random.mutate(&seed);
            let elements: Vec<_> = Elements::new(profile, &block).collect();
            let bytes: usize = elements.iter().flatten().map(|element| element.data.len()).sum();
            assert!(bytes + elements.len() <= block.len());
            let errors = elements.iter().filter(|element| element.is_err()).count();
            assert!(errors <= 1 && (errors == 0 || elements.last().unwrap().is_err()));
        }
    }
}

#[test]
fn mutated_compound_packets_are_survived() {
    let (seed, mut random) = (compound(), Random(3));
    assert_eq!(rtcp::parse(&seed).filter(Result::is_ok).count(), 10);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let data = random.mutate(&seed);
        for packet in rtcp::parse(&data) {
            match packet {
                Ok(packet) => accepted += read_all(packet).min(1),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(accepted > ROUNDS && refused > ROUNDS / 10, "{accepted} {refused}");
}

#[test]
fn mutated_srtp_packets_are_refused() {
    let mut random = Random(4);
    for profile in
        [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm]
    {
        let material = vec![3; SrtpKeys::material_len(profile)];
        let (mut local, mut remote) = SrtpKeys::from_dtls(profile, &material, true).unwrap();
        let protected = |plain: Vec<u8>| {
            let mut buf = plain.clone();
            buf.resize(plain.len() + MAX_OVERHEAD, 0);
            (buf, plain.len())
        };
        let (mut rtp, len) = protected(rtp_packet());
        let len = local.protect_rtp(36, &mut rtp, len).unwrap();
        rtp.truncate(len);
        let (mut rtcp, len) = protected(compound());
        let len = local.protect_rtcp(&mut rtcp, len).unwrap();
        rtcp.truncate(len);
        for _ in 0..ROUNDS / 10 {
            let mut forged = random.mutate(&rtp);
            assert!(forged == rtp || remote.unprotect_rtp(&mut forged).is_err());
            let mut forged = random.mutate(&rtcp);
            assert!(forged == rtcp || remote.unprotect_rtcp(&mut forged).is_err());
        }
        assert!(remote.unprotect_rtp(&mut rtp).is_ok());
        assert!(remote.unprotect_rtcp(&mut rtcp).is_ok());
    }
}
