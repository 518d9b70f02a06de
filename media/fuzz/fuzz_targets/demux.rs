//! The first look at a datagram: what it is, and that it has room for that header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::demux::{PacketKind, classify};

fuzz_target!(|datagram: &[u8]| {
    let Some(kind) = classify(datagram) else { return };
    let min_len = match kind {
        PacketKind::Stun => 20,
        PacketKind::Dtls => 13,
        PacketKind::Rtp => 12,
        PacketKind::Rtcp => 8,
    };
    assert!(datagram.len() >= min_len);
});
