use std::time::Duration;

use super::*;

fn block(ssrc: u32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 0x40,
        cumulative_lost: -2,
        highest_sequence: 0x0001_fffe,
        jitter: 99,
        last_sr: 0x1234_5678,
        delay_since_last_sr: 65536,
    }
}

fn info() -> SenderInfo {
    SenderInfo {
        ssrc: 0x0102_0304,
        ntp: NtpTime(0x1122_3344_5566_7788),
        rtp_timestamp: 0xaabb_ccdd,
        packet_count: 5,
        octet_count: 6000,
    }
}

#[test]
fn sender_report_has_the_layout_of_rfc_3550() {
    let mut out = Vec::new();
    write_sender_report(&mut out, &info(), &[block(0x0a0b_0c0d)]);
    let expected = [
        0x81, 200, 0, 12, 1, 2, 3, 4, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0xaa, 0xbb,
        0xcc, 0xdd, 0, 0, 0, 5, 0, 0, 0x17, 0x70, 0x0a, 0x0b, 0x0c, 0x0d, 0x40, 0xff, 0xff, 0xfe,
        0, 1, 0xff, 0xfe, 0, 0, 0, 99, 0x12, 0x34, 0x56, 0x78, 0, 1, 0, 0,
    ];
    assert_eq!(out, expected);
    let Ok(RtcpPacket::SenderReport(report)) = only(&out) else { panic!("no sender report") };
    assert_eq!(report.info, info());
    assert_eq!(report.blocks().collect::<Vec<_>>(), [block(0x0a0b_0c0d)]);
}

#[test]
fn blocks_beyond_31_go_into_receiver_reports() {
    for count in [0, 1, 31, 32, 62, 63, 100] {
        let blocks: Vec<_> = (0..count).map(block).collect();
        let mut out = Vec::new();
        write_sender_report(&mut out, &info(), &blocks);
        let mut received = Vec::new();
        for (index, packet) in parse(&out).enumerate() {
            match packet.unwrap() {
                RtcpPacket::SenderReport(report) if index == 0 => received.extend(report.blocks()),
                RtcpPacket::ReceiverReport(report) => {
                    assert_eq!(report.ssrc, info().ssrc);
                    received.extend(report.blocks());
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(received, blocks);

        out.clear();
        write_receiver_report(&mut out, 9, &blocks);
        let reports: Vec<_> = parse(&out).collect();
        assert_eq!(reports.len(), blocks.len().div_ceil(31).max(1));
    }
}

#[test]
fn cumulative_loss_saturates_at_24_bits() {
    let rows = [
        (0, 0),
        (-1, -1),
        (8_388_607, 8_388_607),
        (8_388_608, 8_388_607),
        (-8_388_608, -8_388_608),
        (i32::MAX, 8_388_607),
        (i32::MIN, -8_388_608),
    ];
    for (lost, expected) in rows {
        let mut out = Vec::new();
        let block = ReportBlock { cumulative_lost: lost, ..block(1) };
        write_receiver_report(&mut out, 9, &[block]);
        let Ok(RtcpPacket::ReceiverReport(report)) = only(&out) else { panic!("no report") };
        let parsed = report.blocks().next().unwrap();
        assert_eq!(parsed.cumulative_lost, expected);
        assert_eq!(parsed.fraction_lost, 0x40);
    }
}

#[test]
fn extension_behind_the_blocks_is_ignored() {
    let data = [0x80, 201, 0, 2, 0, 0, 0, 9, 1, 2, 3, 4];
    let Ok(RtcpPacket::ReceiverReport(report)) = only(&data) else { panic!("no report") };
    assert_eq!((report.ssrc, report.blocks().count()), (9, 0));
}

#[test]
fn canonical_names_of_any_length_are_padded_and_read_back() {
    for len in 0..=255 {
        let name = "n".repeat(len);
        let mut out = Vec::new();
        write_cnames(&mut out, &[(1, &name), (2, "x")]).unwrap();
        assert_eq!(out.len() % 4, 0);
        let names: Vec<_> = parse(&out)
            .flat_map(|packet| match packet.unwrap() {
                RtcpPacket::Sdes(sdes) => sdes.cnames().collect::<Vec<_>>(),
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        assert_eq!(names, [(1, name.as_bytes()), (2, &b"x"[..])]);
    }
    let mut out = vec![7];
    let long = "n".repeat(256);
    assert_eq!(write_cnames(&mut out, &[(1, "a"), (2, &long)]), Err(RtcpError::TooLong("cname")));
    assert_eq!(out, [7]);
}

#[test]
fn source_description_has_the_layout_of_rfc_3550() {
    let mut out = Vec::new();
    write_cnames(&mut out, &[(9, "ab")]).unwrap();
    assert_eq!(out, [0x81, 202, 0, 3, 0, 0, 0, 9, 1, 2, b'a', b'b', 0, 0, 0, 0]);
    // NAME, then CNAME; a source without CNAME; a source without anything.
    let data = [
        0x83, 202, 0, 8, 0, 0, 0, 1, 2, 1, b'x', 1, 2, b'c', b'n', 0, 0, 0, 0, 2, 6, 2, b't', b'o',
        0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0,
    ];
    let Ok(RtcpPacket::Sdes(sdes)) = only(&data) else { panic!("no source description") };
    assert_eq!(sdes.cnames().collect::<Vec<_>>(), [(1, &b"cn"[..])]);
}

#[test]
fn names_go_one_to_a_packet_and_goodbyes_many() {
    let names: Vec<_> = (0..70).map(|ssrc| (ssrc, "name")).collect();
    let ssrcs: Vec<u32> = (0..70).collect();
    let mut out = Vec::new();
    write_cnames(&mut out, &names).unwrap();
    write_bye(&mut out, &ssrcs, "").unwrap();
    let (mut named, mut gone) = (Vec::new(), Vec::new());
    for packet in parse(&out) {
        match packet.unwrap() {
            RtcpPacket::Sdes(sdes) => named.extend(sdes.cnames().map(|(ssrc, _)| ssrc)),
            RtcpPacket::Bye(bye) => gone.extend(bye.ssrcs()),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!((named, gone), (ssrcs.clone(), ssrcs));
}

#[test]
fn goodbye_carries_sources_and_reason() {
    for (reason, expected) in [("", None), ("bye", Some(&b"bye"[..])), ("moved", Some(b"moved"))] {
        let mut out = Vec::new();
        write_bye(&mut out, &[3, 4], reason).unwrap();
        let Ok(RtcpPacket::Bye(bye)) = only(&out) else { panic!("no goodbye") };
        assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [3, 4]);
        assert_eq!(bye.reason, expected);
    }
    let long = "r".repeat(256);
    assert_eq!(write_bye(&mut Vec::new(), &[1], &long), Err(RtcpError::TooLong("reason")));
}

#[test]
fn extended_report_carries_reference_time() {
    let mut out = Vec::new();
    write_receiver_reference_time(&mut out, 9, NtpTime(0x0102_0304_0506_0708));
    assert_eq!(out, [0x80, 207, 0, 4, 0, 0, 0, 9, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
    let Ok(RtcpPacket::Xr(report)) = only(&out) else { panic!("no extended report") };
    let blocks: Vec<_> = report.blocks().collect();
    assert_eq!(report.ssrc, 9);
    assert!(matches!(blocks[..], [XrBlock::ReceiverReferenceTime(NtpTime(0x0102_0304_0506_0708))]));
}

#[test]
fn extended_report_blocks_are_told_apart() {
    let data = [
        0x80, 207, 0, 9, 0, 0, 0, 9, 42, 0, 0, 1, 9, 9, 9, 9, 5, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2,
        0, 0, 0, 3, 5, 0, 0, 0, 43, 0, 0, 0,
    ];
    let Ok(RtcpPacket::Xr(report)) = only(&data) else { panic!("no extended report") };
    let blocks: Vec<_> = report.blocks().collect();
    assert_eq!(blocks.len(), 4);
    assert!(matches!(blocks[0], XrBlock::Other(42)));
    let XrBlock::DelaySinceLastRr(entries) = &blocks[1] else { panic!("no delays") };
    assert_eq!(entries.clone().collect::<Vec<_>>(), [(1, 2, 3)]);
    assert!(
        matches!(&blocks[2], XrBlock::DelaySinceLastRr(entries) if entries.clone().count() == 0)
    );
    assert!(matches!(blocks[3], XrBlock::Other(43)));
}

#[test]
fn ntp_time_keeps_nanoseconds_and_survives_2036() {
    let rows = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::new(1_700_000_000, 999_999_999),
        // The NTP era ends on 2036-02-07.
        Duration::new(2_085_978_495, 999_999_999),
        Duration::new(2_085_978_496, 0),
        Duration::new(3_000_000_000, 5),
    ];
    for time in rows {
        assert_eq!(NtpTime::from_unix(time).to_unix(), time);
    }
    assert_eq!(NtpTime::from_unix(Duration::ZERO).0, 2_208_988_800 << 32);
    assert_eq!(NtpTime(0x1122_3344_5566_7788).middle(), 0x3344_5566);
}

#[test]
fn round_trip_follows_rfc_3550_figure_2() {
    // The example there: 6.125 s between sender report and its echo, of which 5.25 s waiting.
    let now = NtpTime(0x0000_b710_8000_0000 + (0xb44d_b705_u64 << 32));
    let last_sr = now.middle().wrapping_sub(6 << 16 | 1 << 13);
    let waited = duration_to_short(Duration::from_millis(5250));
    assert_eq!(waited, 0x0005_4000);
    assert_eq!(round_trip(now, last_sr, waited), Some(Duration::from_millis(875)));
    assert_eq!(round_trip(now, 0, waited), None);
    assert_eq!(round_trip(now, last_sr, waited + (1 << 16)), None);
    let wrapped = NtpTime(0x0000_0000_8000_0000);
    let before = 0xffff_8000;
    assert_eq!(round_trip(wrapped, before, 0), Some(Duration::from_secs(1)));
}

#[test]
fn short_durations_saturate() {
    assert_eq!(duration_to_short(Duration::from_secs(1)), 65536);
    assert_eq!(duration_to_short(Duration::from_secs(65535)), 65535 << 16);
    assert_eq!(duration_to_short(Duration::MAX), u32::MAX);
    assert_eq!(short_to_duration(1 << 15), Duration::from_millis(500));
}
