//! STUN messages, as the ICE crate parses them: all attributes are read.

#![no_main]

use is::stun::StunMessage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let Ok(message) = StunMessage::parse(datagram) else { return };
    let _ = (message.method(), message.class(), message.trans_id());
    let _ = (message.username(), message.split_username(), message.realm(), message.nonce());
    let _ = (message.mapped_address(), message.xor_peer_address(), message.xor_relayed_address());
    let _ = (message.prio(), message.use_candidate(), message.network_cost());
    let _ = (message.ice_controlled(), message.ice_controlling(), message.error_code());
    let _ = (message.channel_number(), message.lifetime(), message.data(), message.software());
    // Reads what would be authenticated.
    let _ = message.verify(b"password", |_, parts| {
        let sum = parts.iter().copied().flatten().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        [sum; 20]
    });
});
