//! Tells what a datagram is by its first bytes (RFC 7983; RFC 5761, section 4).

/// Protocol of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// STUN, RFC 8489.
    Stun,
    /// DTLS record.
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
}

/// Classifies a datagram, or `None` if it is nothing the plane speaks or is shorter than the
/// smallest header of its protocol.
pub fn classify(datagram: &[u8]) -> Option<PacketKind> {
    let (kind, min_len) = match *datagram.first()? {
        0..=3 => (PacketKind::Stun, 20),
        20..=63 => (PacketKind::Dtls, 13),
        128..=191 => match *datagram.get(1)? {
            192..=223 => (PacketKind::Rtcp, 8),
            _ => (PacketKind::Rtp, 12),
        },
        _ => return None,
    };
    (datagram.len() >= min_len).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_byte_decides_the_protocol() {
        let table: [(u8, Option<PacketKind>); 12] = [
            (0, Some(PacketKind::Stun)),
            (3, Some(PacketKind::Stun)),
            (4, None),
            (19, None),
            (20, Some(PacketKind::Dtls)),
            (63, Some(PacketKind::Dtls)),
            (64, None),
            (127, None),
            (128, Some(PacketKind::Rtp)),
            (191, Some(PacketKind::Rtp)),
            (192, None),
            (255, None),
        ];
        for (first, expected) in table {
            let mut datagram = [0_u8; 32];
            datagram[0] = first;
            assert_eq!(classify(&datagram), expected, "first byte {first}");
        }
    }

    #[test]
    fn second_byte_tells_rtcp_from_rtp() {
        for (second, expected) in [
            (191, PacketKind::Rtp),
            (192, PacketKind::Rtcp),
            (200, PacketKind::Rtcp),
            (223, PacketKind::Rtcp),
            (224, PacketKind::Rtp),
            (96, PacketKind::Rtp),
        ] {
            let mut datagram = [0_u8; 12];
            (datagram[0], datagram[1]) = (0x80, second);
            assert_eq!(classify(&datagram), Some(expected), "second byte {second}");
        }
    }

    #[test]
    fn shorter_than_its_header_is_nothing() {
        for (first, second, min_len) in [(0, 1, 20), (22, 254, 13), (128, 96, 12), (128, 200, 8)] {
            let mut datagram = vec![0_u8; min_len];
            (datagram[0], datagram[1]) = (first, second);
            assert!(classify(&datagram).is_some());
            assert!(classify(&datagram[..min_len - 1]).is_none());
        }
        assert_eq!(classify(&[]), None);
        assert_eq!(classify(&[128]), None);
    }
}
