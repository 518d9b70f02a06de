use super::*;
use crate::rtp::SeqNo;

const STARTS: [u16; 6] = [0, 1, 32767, 32768, 65534, 65535];

fn lost(data: &[u8]) -> Vec<u16> {
    let Ok(RtcpPacket::Nack(nack)) = only(data) else { panic!("no nack") };
    assert_eq!((nack.sender_ssrc, nack.media_ssrc), (1, 2));
    nack.lost().map(|number| number.0).collect()
}

#[test]
fn nack_has_the_layout_of_rfc_4585() {
    let mut out = Vec::new();
    write_nack(&mut out, 1, 2, &[10, 11, 26, 27].map(SeqNo));
    let expected = [0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0x80, 0x01, 0, 27, 0, 0];
    assert_eq!(out, expected);
    assert_eq!(lost(&out), [10, 11, 26, 27]);
}

#[test]
fn nack_packs_numbers_over_the_wrap() {
    for start in STARTS {
        for gap in [1, 2, 15, 16, 17, 1000] {
            let numbers: Vec<_> = (0..40).map(|step| SeqNo(start).add(step * gap)).collect();
            let mut out = Vec::new();
            write_nack(&mut out, 1, 2, &numbers);
            assert_eq!(lost(&out), numbers.iter().map(|number| number.0).collect::<Vec<_>>());
            if gap == 1 {
                assert_eq!(out.len(), 12 + 4 * 3);
            }
        }
    }
}

#[test]
fn nack_leaves_out_repetitions_and_empty_requests() {
    let mut out = Vec::new();
    write_nack(&mut out, 1, 2, &[]);
    assert!(out.is_empty());
    write_nack(&mut out, 1, 2, &[7, 7, 8, 8].map(SeqNo));
    assert_eq!(lost(&out), [7, 8]);
}

#[test]
fn all_bits_of_a_nack_entry_are_read() {
    let data = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff];
    let expected: Vec<u16> = (0..17).map(|step: u16| 65535_u16.wrapping_add(step)).collect();
    assert_eq!(lost(&data), expected);
}

#[test]
fn picture_loss_has_the_layout_of_rfc_4585() {
    let mut out = Vec::new();
    let pli = Pli { sender_ssrc: 1, media_ssrc: 2 };
    write_pli(&mut out, pli);
    assert_eq!(out, [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert!(matches!(only(&out), Ok(RtcpPacket::Pli(parsed)) if parsed == pli));
}

#[test]
fn full_intra_request_has_the_layout_of_rfc_5104() {
    let mut out = Vec::new();
    write_fir(&mut out, 1, &[]);
    assert!(out.is_empty());
    let entries = [FirEntry { ssrc: 2, sequence: 255 }, FirEntry { ssrc: 3, sequence: 0 }];
    write_fir(&mut out, 1, &entries);
    let expected =
        [0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 255, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];
    assert_eq!(out, expected);
    let Ok(RtcpPacket::Fir(fir)) = only(&out) else { panic!("no full intra request") };
    assert_eq!(fir.sender_ssrc, 1);
    assert_eq!(fir.entries().collect::<Vec<_>>(), entries);
}

#[test]
fn bandwidth_estimate_is_rounded_to_18_bits() {
    let rows = [
        (0, 0),
        (1, 1),
        ((1 << 18) - 1, (1 << 18) - 1),
        (1 << 18, 1 << 18),
        ((1 << 18) + 1, 1 << 18),
        (2_500_000, 2_500_000),
        (u64::MAX, ((1 << 18) - 1) << 46),
    ];
    for (bitrate, expected) in rows {
        let mut out = Vec::new();
        write_remb(&mut out, 1, bitrate, &[5, 6]).unwrap();
        let Ok(RtcpPacket::Remb(remb)) = only(&out) else { panic!("no estimate") };
        assert_eq!((remb.sender_ssrc, remb.bitrate_bps), (1, expected));
        assert_eq!(remb.ssrcs().collect::<Vec<_>>(), [5, 6]);
    }
    assert_eq!(write_remb(&mut Vec::new(), 1, 1, &[0; 256]), Err(RtcpError::TooLong("ssrc list")));
}

#[test]
fn bandwidth_estimate_too_large_for_64_bits_saturates() {
    let mut out = Vec::new();
    write_remb(&mut out, 1, 1, &[]).unwrap();
    // Exponent 63 with mantissas 1, 2 and 0.
    for (mantissa, expected) in [(1, 1 << 63), (2, u64::MAX), (0, 0)] {
        out[16..20].copy_from_slice(&(63_u32 << 18 | mantissa).to_be_bytes());
        let Ok(RtcpPacket::Remb(remb)) = only(&out) else { panic!("no estimate") };
        assert_eq!(remb.bitrate_bps, expected);
    }
}

#[test]
fn writers_append_to_form_a_compound() {
    let mut out = Vec::new();
    write_receiver_report(&mut out, 1, &[]);
    write_cnames(&mut out, &[(1, "abc")]).unwrap();
    write_nack(&mut out, 1, 2, &[SeqNo(3)]);
    write_pli(&mut out, Pli { sender_ssrc: 1, media_ssrc: 2 });
    write_remb(&mut out, 1, 9, &[2]).unwrap();
    write_bye(&mut out, &[1], "").unwrap();
    let packets: Vec<_> = parse(&out).map(Result::unwrap).collect();
    assert!(matches!(
        packets[..],
        [
            RtcpPacket::ReceiverReport(_),
            RtcpPacket::Sdes(_),
            RtcpPacket::Nack(_),
            RtcpPacket::Pli(_),
            RtcpPacket::Remb(_),
            RtcpPacket::Bye(_),
        ]
    ));
}
