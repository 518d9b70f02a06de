//! Packets on an emulated path: whatever they are, they are counted in a class there is, and what
//! decides are the headers and two bytes behind them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media_swarm::{NOT_UDP, PathCounters, class_of};

/// The longest IP header, UDP's, and the first bytes of what it carries.
const DECIDES: usize = 60 + 8 + 2;

fuzz_target!(|packet: &[u8]| {
    let class = class_of(packet);
    assert!(class < PathCounters::default().classes.len());
    assert_eq!(class_of(&packet[..packet.len().min(DECIDES)]), class);
    if packet.len() < 28 {
        assert_eq!(class, NOT_UDP);
    }
});
