use super::*;
use crate::ext::ExtensionError;

/// Header with one CSRC, an extension block of two words, payload `abc` and padding of two.
fn full_packet() -> Vec<u8> {
    let mut packet = vec![0xb1, 0x80 | 96, 0x12, 0x34, 1, 2, 3, 4, 0xca, 0xfe, 0xba, 0xbe];
    packet.extend_from_slice(&[0, 0, 0, 77]);
    packet.extend_from_slice(&[0xbe, 0xde, 0, 2, 0x10, 0xaa, 0x22, 1, 2, 3, 0, 0]);
    packet.extend_from_slice(b"abc");
    packet.extend_from_slice(&[0, 2]);
    packet
}

#[test]
fn every_field_is_parsed() {
    let packet = full_packet();
    let header = RtpHeader::parse(&packet).unwrap();
    assert!(header.marker);
    assert_eq!(header.payload_type, 96);
    assert_eq!(header.sequence_number, SeqNo(0x1234));
    assert_eq!(header.timestamp, 0x0102_0304);
    assert_eq!(header.ssrc, 0xcafe_babe);
    assert_eq!(header.csrc_count, 1);
    assert_eq!(header.csrcs(&packet).collect::<Vec<_>>(), [77]);
    assert_eq!(header.header_len, 28);
    assert_eq!(header.payload(&packet), b"abc");
    let block = header.extension.unwrap();
    assert_eq!((block.profile, block.start, block.len), (0xbede, 20, 8));
    let elements: Vec<_> = header.extensions(&packet).map(Result::unwrap).collect();
    assert_eq!(elements.len(), 2);
    assert_eq!((elements[0].id, elements[0].data), (1, &[0xaa][..]));
    assert_eq!((elements[1].id, elements[1].data), (2, &[1, 2, 3][..]));
}

#[test]
fn padding_of_an_encrypted_packet_is_left_alone() {
    let packet = full_packet();
    let header = RtpHeader::parse_protected(&packet).unwrap();
    assert_eq!(header.payload(&packet), b"abc\0\x02");
}

#[test]
fn offsets_of_another_packet_yield_nothing() {
    let packet = full_packet();
    let header = RtpHeader::parse(&packet).unwrap();
    assert_eq!(header.payload(&packet[..20]), b"");
    assert_eq!(header.extensions(&packet[..22]).count(), 0);
    assert_eq!(header.csrcs(&packet[..13]).count(), 0);
}

#[test]
fn malformed_packets_are_refused_with_the_reason() {
    let minimal = [0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
    let with = |first: u8, tail: &[u8]| {
        let mut packet = minimal.to_vec();
        packet[0] = first;
        packet.extend_from_slice(tail);
        packet
    };
    let rows: [(&str, Vec<u8>, RtpError); 16] = [
        ("empty", vec![], RtpError::TooShort),
        ("one byte short", minimal[..11].to_vec(), RtpError::TooShort),
        ("version 0", with(0x00, &[]), RtpError::Version),
        ("version 1", with(0x40, &[]), RtpError::Version),
        ("version 3", with(0xc0, &[]), RtpError::Version),
        ("csrc missing", with(0x81, &[]), RtpError::CsrcList),
        ("csrc cut", with(0x82, &[0; 7]), RtpError::CsrcList),
        ("15 csrcs cut", with(0x8f, &[0; 59]), RtpError::CsrcList),
        ("extension missing", with(0x90, &[]), RtpError::ExtensionLength),
        ("extension header cut", with(0x90, &[0xbe, 0xde, 0]), RtpError::ExtensionLength),
        ("extension cut", with(0x90, &[0xbe, 0xde, 0, 1, 0, 0, 0]), RtpError::ExtensionLength),
        ("extension longest", with(0x90, &[0xbe, 0xde, 0xff, 0xff]), RtpError::ExtensionLength),
        ("padding without payload", with(0xa0, &[]), RtpError::Padding),
        ("padding of zero", with(0xa0, &[1, 0]), RtpError::Padding),
        ("padding beyond payload", with(0xa0, &[1, 3]), RtpError::Padding),
        ("padding of 255", with(0xa0, &[255]), RtpError::Padding),
    ];
    for (name, packet, expected) in rows {
        assert_eq!(RtpHeader::parse(&packet), Err(expected), "{name}");
    }
    assert_eq!(RtpHeader::parse(&with(0x80, &[])).unwrap().payload_range(), 12..12);
    assert_eq!(RtpHeader::parse(&with(0xa0, &[9, 2])).unwrap().payload_range(), 12..12);
    let empty_block = with(0x90, &[0xbe, 0xde, 0, 0]);
    assert_eq!(RtpHeader::parse(&empty_block).unwrap().payload_range(), 16..16);
}

#[test]
fn truncation_at_any_length_is_an_error() {
    let packet = full_packet();
    for len in 0..packet.len() {
        assert!(RtpHeader::parse(&packet[..len]).is_err(), "{len}");
        assert_eq!(RtpHeader::parse_protected(&packet[..len]).is_ok(), len >= 28, "{len}");
    }
}

fn outgoing() -> OutgoingHeader {
    OutgoingHeader {
        marker: true,
        payload_type: 127,
        sequence_number: SeqNo(65535),
        timestamp: 0xfedc_ba98,
        ssrc: 0x0102_0304,
    }
}

#[test]
fn written_headers_are_parsed_back() {
    let mut extensions = ExtensionBuilder::default();
    extensions.push(3, &[1, 2, 3]).unwrap();
    for marker in [false, true] {
        let header = OutgoingHeader { marker, ..outgoing() };
        let mut buf = [0xee; 64];
        let len = header.write(&extensions, &mut buf).unwrap();
        assert_eq!(len, 20);
        let parsed = RtpHeader::parse(&buf).unwrap();
        assert_eq!(parsed.marker, marker);
        assert_eq!(parsed.payload_type, header.payload_type);
        assert_eq!(parsed.sequence_number, header.sequence_number);
        assert_eq!(parsed.timestamp, header.timestamp);
        assert_eq!(parsed.ssrc, header.ssrc);
        assert_eq!(parsed.header_len, len);
        let element = parsed.extensions(&buf).next().unwrap().unwrap();
        assert_eq!((element.id, element.data), (3, &[1, 2, 3][..]));
    }
}

#[test]
fn header_without_extensions_has_no_extension_block() {
    let mut buf = [0xee; 12];
    assert_eq!(outgoing().write(&ExtensionBuilder::default(), &mut buf), Ok(12));
    assert_eq!(RtpHeader::parse(&buf).unwrap().extension, None);
}

#[test]
fn headers_that_do_not_fit_are_refused() {
    let mut extensions = ExtensionBuilder::default();
    let mut buf = [0; 20];
    assert_eq!(outgoing().write(&extensions, &mut buf[..11]), Err(RtpError::BufferTooSmall));
    extensions.push(1, &[1]).unwrap();
    for len in 12..20 {
        let error = RtpError::Extension(ExtensionError::BufferTooSmall);
        assert_eq!(outgoing().write(&extensions, &mut buf[..len]), Err(error));
    }
    assert_eq!(outgoing().write(&extensions, &mut buf), Ok(20));
    let invalid = OutgoingHeader { payload_type: 128, ..outgoing() };
    assert_eq!(invalid.write(&extensions, &mut buf), Err(RtpError::PayloadType));
}
