use super::*;

fn body(what: &'static str) -> RtcpError {
    RtcpError::Body(what)
}

#[test]
fn malformed_packets_are_refused_with_the_reason() {
    let fir = "full intra request";
    let remb = "receiver bandwidth estimate";
    let twcc = "transport-wide feedback";
    let rows: [(&str, &[u8], RtcpError); 40] = [
        ("empty", &[], RtcpError::Truncated),
        ("header cut", &[0x80, 201, 0], RtcpError::Truncated),
        ("version 0", &[0, 201, 0, 1, 0, 0, 0, 9], RtcpError::Version),
        ("version 3", &[0xc0, 201, 0, 1, 0, 0, 0, 9], RtcpError::Version),
        ("longer than datagram", &[0x80, 201, 0, 2, 0, 0, 0, 9], RtcpError::Length),
        ("longest length", &[0x80, 201, 0xff, 0xff], RtcpError::Length),
        ("padding without body", &[0xa0, 201, 0, 0], RtcpError::Padding),
        ("padding of zero", &[0xa0, 201, 0, 1, 0, 0, 0, 0], RtcpError::Padding),
        ("padding beyond body", &[0xa0, 201, 0, 1, 0, 0, 0, 5], RtcpError::Padding),
        ("padding over the ssrc", &[0xa0, 201, 0, 1, 0, 0, 0, 4], body("receiver report")),
        ("report without ssrc", &[0x80, 201, 0, 0], body("receiver report")),
        ("report without block", &[0x81, 201, 0, 1, 0, 0, 0, 9], body("receiver report")),
        ("31 blocks announced", &[0x9f, 201, 0, 1, 0, 0, 0, 9], body("receiver report")),
        ("sender without info", &[0x80, 200, 0, 1, 0, 0, 0, 9], body("sender report")),
        ("name without ssrc", &[0x81, 202, 0, 0], body("source description")),
        ("name not ended", &[0x81, 202, 0, 1, 0, 0, 0, 9], body("source description")),
        ("name cut", &[0x81, 202, 0, 2, 0, 0, 0, 9, 1, 9, 0, 0], body("source description")),
        ("name longest", &[0x81, 202, 0, 2, 0, 0, 0, 9, 1, 255, 0, 0], body("source description")),
        ("name fills all", &[0x81, 202, 0, 2, 0, 0, 0, 9, 1, 2, 7, 7], body("source description")),
        ("name length cut", &[0x81, 202, 0, 2, 0, 0, 0, 9, 1, 1, 7, 1], body("source description")),
        (
            "second name missing",
            &[0x82, 202, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0],
            body("source description"),
        ),
        ("goodbye without source", &[0x81, 203, 0, 0], body("goodbye")),
        ("goodbye reason cut", &[0x80, 203, 0, 1, 4, 1, 1, 1], body("goodbye")),
        ("nack without ssrcs", &[0x81, 205, 0, 1, 0, 0, 0, 9], body("nack")),
        ("nack without entry", &[0x81, 205, 0, 2, 0, 0, 0, 9, 0, 0, 0, 9], body("nack")),
        ("nack entry cut", &[0xa1, 205, 0, 3, 0, 0, 0, 9, 0, 0, 0, 9, 0, 1, 0, 1], body("nack")),
        ("picture loss short", &[0x81, 206, 0, 1, 0, 0, 0, 9], body("picture loss indication")),
        (
            "picture loss long",
            &[0x81, 206, 0, 3, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 0],
            body("picture loss indication"),
        ),
        ("intra without entry", &[0x84, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0], body(fir)),
        ("intra entry cut", &[0x84, 206, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1], body(fir)),
        (
            "estimate cut",
            &[0x8f, 206, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0, b'R', b'E', b'M', b'B'],
            body(remb),
        ),
        (
            "estimate without ssrc",
            &[0x8f, 206, 0, 4, 0, 0, 0, 9, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0, 0, 0],
            body(remb),
        ),
        ("extended without ssrc", &[0x80, 207, 0, 0], body("extended report")),
        (
            "extended block cut",
            &[0x80, 207, 0, 2, 0, 0, 0, 9, 42, 0, 0, 1],
            body("extended report"),
        ),
        (
            "reference time short",
            &[0x80, 207, 0, 3, 0, 0, 0, 9, 4, 0, 0, 1, 0, 0, 0, 0],
            body("extended report"),
        ),
        (
            "delays uneven",
            &[0x80, 207, 0, 3, 0, 0, 0, 9, 5, 0, 0, 1, 0, 0, 0, 0],
            body("extended report"),
        ),
        (
            "transport header cut",
            &[0x8f, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1],
            body(twcc),
        ),
        (
            "transport without chunk",
            &[0x8f, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0],
            body(twcc),
        ),
        (
            "transport without packets",
            &[0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
            body(twcc),
        ),
        (
            "transport run of nothing",
            &[0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x20, 0, 0x20, 0],
            body(twcc),
        ),
    ];
    for (name, data, expected) in rows {
        assert_eq!(only(data).unwrap_err(), expected, "{name}");
    }
}

#[test]
fn transport_feedback_needs_a_delta_for_every_packet_received() {
    let header = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0];
    let rows: [(&str, u16, [u8; 4]); 5] = [
        ("run of 3 small", 3, [0x20, 3, 0, 0]),
        ("run of 8191 large", 8191, [0x5f, 0xff, 0, 0]),
        ("14 small", 14, [0xbf, 0xff, 0, 0]),
        ("7 large", 7, [0xea, 0xaa, 0, 0]),
        ("reserved symbol in a run", 1, [0x60, 1, 0, 0]),
    ];
    for (name, count, chunk) in rows {
        let mut data = vec![0x8f, 205, 0, 5];
        data.extend_from_slice(&header);
        data.extend_from_slice(&count.to_be_bytes());
        data.extend_from_slice(&[0, 0, 0, 0]);
        data.extend_from_slice(&chunk);
        let expected = body("transport-wide feedback");
        assert_eq!(only(&data).unwrap_err(), expected, "{name}");
    }
}

#[test]
fn malformed_body_does_not_hide_the_packets_behind_it() {
    let data = [0x81, 206, 0, 1, 0, 0, 0, 9, 0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let packets: Vec<_> = parse(&data).collect();
    assert!(matches!(packets[..], [Err(RtcpError::Body(_)), Ok(RtcpPacket::Pli(_))]));
}

#[test]
fn trailing_bytes_are_an_error_after_the_packets_before_them() {
    for (garbage, expected) in [
        (&[1][..], RtcpError::Truncated),
        (&[0, 0, 0], RtcpError::Truncated),
        (&[0, 0, 0, 0], RtcpError::Version),
        (&[0x80, 200, 0, 9], RtcpError::Length),
    ] {
        let mut data = vec![0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        data.extend_from_slice(garbage);
        let packets: Vec<_> = parse(&data).collect();
        assert!(matches!(packets[0], Ok(RtcpPacket::Pli(_))));
        assert!(matches!(packets[1..], [Err(error)] if error == expected));
    }
}

#[test]
fn unknown_packets_are_passed_over() {
    let rows: [(&[u8], u8, u8); 5] = [
        (&[0x85, 204, 0, 2, 0, 0, 0, 9, b'n', b'a', b'm', b'e'], 204, 5),
        (&[0x80, 0, 0, 0], 0, 0),
        (&[0x9f, 255, 0, 0], 255, 31),
        (&[0x82, 205, 0, 0], 205, 2),
        (&[0x8f, 206, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0, b'X', b'E', b'M', b'B'], 206, 15),
    ];
    for (data, expected_type, expected_count) in rows {
        let Ok(RtcpPacket::Other { packet_type, count }) = only(data) else {
            panic!("taken for something known: {data:?}");
        };
        assert_eq!((packet_type, count), (expected_type, expected_count));
    }
}

#[test]
fn padding_is_cut_off() {
    let data = [0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4];
    assert!(matches!(only(&data), Ok(RtcpPacket::Pli(Pli { sender_ssrc: 1, media_ssrc: 2 }))));
}
