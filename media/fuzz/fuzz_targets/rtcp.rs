//! Compound RTCP packets: everything a packet offers is read, and written again where possible.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::rtcp::{self, RtcpPacket, XrBlock};

fuzz_target!(|datagram: &[u8]| {
    let mut out = Vec::new();
    for packet in rtcp::parse(datagram).flatten() {
        read(packet, &mut out);
    }
    for packet in rtcp::parse(&out) {
        if !out.is_empty() {
            packet.expect("what is written can be parsed");
        }
    }
});

fn read(packet: RtcpPacket<'_>, out: &mut Vec<u8>) {
    match packet {
        RtcpPacket::SenderReport(report) => {
            let blocks: Vec<_> = report.blocks().collect();
            rtcp::write_sender_report(out, &report.info, &blocks);
        }
        RtcpPacket::ReceiverReport(report) => {
            let blocks: Vec<_> = report.blocks().collect();
            rtcp::write_receiver_report(out, report.ssrc, &blocks);
        }
        RtcpPacket::Sdes(sdes) => {
            let names: Vec<_> = sdes
                .cnames()
                .filter_map(|(ssrc, name)| Some((ssrc, std::str::from_utf8(name).ok()?)))
                .collect();
            rtcp::write_cnames(out, &names).expect("names have at most 255 bytes");
        }
        RtcpPacket::Bye(bye) => {
            let ssrcs: Vec<_> = bye.ssrcs().collect();
            let reason = std::str::from_utf8(bye.reason.unwrap_or_default()).unwrap_or_default();
            rtcp::write_bye(out, &ssrcs, reason).expect("reasons have at most 255 bytes");
        }
        RtcpPacket::Nack(nack) => {
            let lost: Vec<_> = nack.lost().collect();
            rtcp::write_nack(out, nack.sender_ssrc, nack.media_ssrc, &lost);
        }
        RtcpPacket::TransportFeedback(feedback) => {
            assert_eq!(feedback.packets().count(), usize::from(feedback.status_count));
        }
        RtcpPacket::Pli(pli) => rtcp::write_pli(out, pli),
        RtcpPacket::Fir(fir) => {
            let entries: Vec<_> = fir.entries().collect();
            rtcp::write_fir(out, fir.sender_ssrc, &entries);
        }
        RtcpPacket::Remb(remb) => {
            let ssrcs: Vec<_> = remb.ssrcs().collect();
            rtcp::write_remb(out, remb.sender_ssrc, remb.bitrate_bps, &ssrcs)
                .expect("at most 255 streams");
        }
        RtcpPacket::Xr(report) => {
            for block in report.blocks() {
                match block {
                    XrBlock::ReceiverReferenceTime(time) => {
                        let _ = time.to_unix();
                        rtcp::write_receiver_reference_time(out, report.ssrc, time);
                    }
                    XrBlock::DelaySinceLastRr(entries) => assert!(entries.count() <= 0xffff),
                    XrBlock::Other(_) => {}
                }
            }
        }
        RtcpPacket::Other { .. } => {}
    }
}
