//! RTP headers: offsets stay inside the packet, and a rewritten header is parsed back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::ext::ExtensionBuilder;
use media_core::rtp::{OutgoingHeader, RtpHeader};

fuzz_target!(|packet: &[u8]| {
    let Ok(header) = RtpHeader::parse(packet) else { return };
    assert!(header.header_len <= header.payload_end && header.payload_end <= packet.len());
    assert_eq!(header.csrcs(packet).count(), usize::from(header.csrc_count));

    let mut extensions = ExtensionBuilder::default();
    for element in header.extensions(packet).flatten() {
        let _ = extensions.push(element.id, element.data);
    }
    let outgoing = OutgoingHeader {
        marker: header.marker,
        payload_type: header.payload_type,
        sequence_number: header.sequence_number,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
    };
    let mut out = [0; 1200];
    let len = outgoing.write(&extensions, &mut out).expect("the buffer is large enough");
    let again = RtpHeader::parse(&out[..len]).expect("what is written can be parsed");
    assert_eq!(again.header_len, len);
    assert_eq!(again.sequence_number, header.sequence_number);
    assert_eq!(again.timestamp, header.timestamp);
    let elements = again.extensions(&out).map(|element| element.expect("written whole"));
    assert!(elements.eq(extensions.elements()));
});
