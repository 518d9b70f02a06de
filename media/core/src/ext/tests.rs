use std::time::Duration;

use super::*;
use crate::api::{ExtensionId, ExtensionKind};
use crate::rtp::SeqNo;

type Collected = Vec<Result<(u8, Vec<u8>), ExtensionError>>;

fn collect(profile: u16, block: &[u8]) -> Collected {
    Elements::new(profile, block)
        .map(|element| element.map(|element| (element.id, element.data.to_vec())))
        .collect()
}

#[test]
fn one_byte_blocks_are_parsed_as_rfc_8285_says() {
    let cut = || Err(ExtensionError::ElementLength);
    let rows: [(&str, &[u8], Collected); 11] = [
        ("empty", &[], vec![]),
        ("only padding", &[0, 0, 0, 0], vec![]),
        ("one", &[0x10, 7, 0, 0], vec![Ok((1, vec![7]))]),
        (
            "padding between",
            &[0x10, 7, 0, 0, 0xe1, 8, 9],
            vec![Ok((1, vec![7])), Ok((14, vec![8, 9]))],
        ),
        ("id 15 stops", &[0xf0, 0x10, 7, 0x10, 7], vec![]),
        ("id 15 stops with a length too", &[0xf3, 1, 2, 3, 4, 0x10, 7], vec![]),
        ("padding with a length stops", &[0x03, 1, 2, 3, 4, 0x10, 7], vec![]),
        (
            "longest",
            &[0x2f, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            vec![Ok((2, (0..16).collect()))],
        ),
        ("cut", &[0x12, 1, 2], vec![cut()]),
        ("cut at its header", &[0x10], vec![cut()]),
        ("nothing after an error", &[0x10, 7, 0x1f, 0x10, 7], vec![Ok((1, vec![7])), cut()]),
    ];
    for (name, block, expected) in rows {
        assert_eq!(collect(ONE_BYTE_PROFILE, block), expected, "{name}");
    }
}

#[test]
fn two_byte_blocks_are_parsed_as_rfc_8285_says() {
    let cut = || Err(ExtensionError::ElementLength);
    let rows: [(&str, &[u8], Collected); 8] = [
        ("empty", &[], vec![]),
        ("only padding", &[0, 0, 0, 0], vec![]),
        ("value without bytes", &[1, 0], vec![Ok((1, vec![]))]),
        ("id 15 is like others", &[15, 1, 9], vec![Ok((15, vec![9]))]),
        ("id 255 after padding", &[0, 255, 2, 8, 9, 0], vec![Ok((255, vec![8, 9]))]),
        ("length missing", &[1], vec![cut()]),
        ("cut", &[1, 3, 1, 2], vec![cut()]),
        ("nothing after an error", &[3, 1, 9, 1, 255, 1, 0], vec![Ok((3, vec![9])), cut()]),
    ];
    for (name, block, expected) in rows {
        for profile in [0x1000, 0x1007, 0x100f] {
            assert_eq!(collect(profile, block), expected, "{name}");
        }
    }
}

#[test]
fn blocks_of_other_profiles_have_no_elements() {
    for profile in [0, 0xbedd, 0x0fff, 0x1010, 0xffff] {
        assert_eq!(collect(profile, &[0x10, 7, 0, 0]), vec![]);
    }
}

type Values<'a> = &'a [(u8, &'a [u8])];

fn written(elements: Values) -> Vec<u8> {
    let mut builder = ExtensionBuilder::default();
    for (id, data) in elements {
        builder.push(*id, data).unwrap();
    }
    let mut out = vec![0xee; 600];
    let len = builder.write(&mut out).unwrap();
    assert_eq!(len, builder.block_len());
    assert!(len % 4 == 0 && out[len..].iter().all(|&byte| byte == 0xee));
    out.truncate(len);
    out
}

#[test]
fn form_follows_from_ids_and_lengths() {
    let rows: [(Values, u16); 8] = [
        (&[(1, &[1])], ONE_BYTE_PROFILE),
        (&[(14, &[1; 16])], ONE_BYTE_PROFILE),
        (&[(1, &[1; 17])], TWO_BYTE_PROFILE),
        (&[(1, &[])], TWO_BYTE_PROFILE),
        (&[(16, &[1])], TWO_BYTE_PROFILE),
        (&[(1, &[1]), (255, &[1])], TWO_BYTE_PROFILE),
        (&[(1, &[1]), (2, &[1, 2]), (3, &[1, 2, 3])], ONE_BYTE_PROFILE),
        (&[(1, &[1; 255]), (2, &[2; 255])], TWO_BYTE_PROFILE),
    ];
    for (elements, profile) in rows {
        let block = written(elements);
        assert_eq!(block[..2], profile.to_be_bytes());
        assert_eq!(usize::from(u16::from_be_bytes([block[2], block[3]])) * 4, block.len() - 4);
        let expected: Collected =
            elements.iter().map(|(id, data)| Ok((*id, data.to_vec()))).collect();
        assert_eq!(collect(profile, &block[4..]), expected);
    }
}

#[test]
fn builder_refuses_what_it_cannot_write_and_stays_as_it_was() {
    let mut builder = ExtensionBuilder::default();
    assert!(builder.is_empty());
    assert_eq!(builder.write(&mut []), Ok(0));
    for id in [0, 15] {
        assert_eq!(builder.push(id, &[1]), Err(ExtensionError::InvalidId));
    }
    assert_eq!(builder.push(1, &[0; 256]), Err(ExtensionError::ValueLength));
    assert!(builder.is_empty());
    builder.push(1, &[1; 255]).unwrap();
    builder.push(2, &[2; 255]).unwrap();
    assert_eq!(builder.push(3, &[3; 3]), Err(ExtensionError::Full));
    builder.push(3, &[3; 2]).unwrap();
    assert_eq!(builder.elements().count(), 3);
    builder.clear();
    for _ in 0..16 {
        builder.push(1, &[9]).unwrap();
    }
    assert_eq!(builder.push(1, &[9]), Err(ExtensionError::Full));
    assert_eq!(builder.block_len(), 36);
    for len in 0..36 {
        assert_eq!(builder.write(&mut vec![0; len]), Err(ExtensionError::BufferTooSmall));
    }
    assert_eq!(builder.write(&mut [0; 36]), Ok(36));
}

#[test]
fn map_answers_both_ways() {
    let extensions = [
        ExtensionId { kind: ExtensionKind::Mid, id: 1 },
        ExtensionId { kind: ExtensionKind::TransportCc, id: 14 },
        ExtensionId { kind: ExtensionKind::DependencyDescriptor, id: 255 },
    ];
    let map = ExtensionMap::new(&extensions).unwrap();
    for extension in extensions {
        assert_eq!(map.kind(extension.id), Some(extension.kind));
        assert_eq!(map.id(extension.kind), Some(extension.id));
    }
    assert_eq!(map.kind(0), None);
    assert_eq!(map.kind(2), None);
    assert_eq!(map.id(ExtensionKind::AudioLevel), None);
    assert_eq!(ExtensionMap::new(&[]).unwrap(), ExtensionMap::default());
}

#[test]
fn map_refuses_reserved_ids_and_repetitions() {
    let mid = |id| ExtensionId { kind: ExtensionKind::Mid, id };
    let rid = |id| ExtensionId { kind: ExtensionKind::Rid, id };
    let rows: [(&[ExtensionId], ExtensionError); 4] = [
        (&[mid(0)], ExtensionError::InvalidId),
        (&[mid(15)], ExtensionError::InvalidId),
        (&[mid(1), rid(1)], ExtensionError::Duplicate),
        (&[mid(1), mid(2)], ExtensionError::Duplicate),
    ];
    for (extensions, expected) in rows {
        assert_eq!(ExtensionMap::new(extensions), Err(expected));
    }
}

#[test]
fn audio_levels_are_parsed_and_written() {
    for byte in 0..=255 {
        let level = AudioLevel::parse(&[byte]).unwrap();
        assert_eq!(level, AudioLevel { level: byte & 0x7f, voice: byte > 127 });
        assert_eq!(level.to_bytes(), [byte]);
    }
    assert_eq!(AudioLevel { level: 200, voice: false }.to_bytes(), [127]);
    assert_eq!(AudioLevel::parse(&[5, 0]), AudioLevel::parse(&[5]));
    assert_eq!(AudioLevel::parse(&[]), Err(ExtensionError::ValueLength));
}

#[test]
fn stream_ids_are_kept_up_to_sixteen_printable_bytes() {
    let id = StreamId::parse(b"hi").unwrap();
    assert_eq!(id.as_str(), "hi");
    assert_eq!(&id, "hi");
    assert_ne!(&id, "hi2");
    assert_eq!(format!("{id:?}"), "StreamId(\"hi\")");
    assert_eq!(StreamId::parse(&[b'a'; 16]).unwrap().as_bytes(), [b'a'; 16]);
    let rows: [(&[u8], ExtensionError); 6] = [
        (b"", ExtensionError::ValueLength),
        (&[b'a'; 17], ExtensionError::ValueLength),
        (b"a b", ExtensionError::StreamIdCharacter),
        (b"a\0", ExtensionError::StreamIdCharacter),
        (b"\xc3\xa9", ExtensionError::StreamIdCharacter),
        (b"\x7f", ExtensionError::StreamIdCharacter),
    ];
    for (data, expected) in rows {
        assert_eq!(StreamId::parse(data), Err(expected), "{data:?}");
    }
}

#[test]
fn absolute_send_time_wraps_every_64_seconds() {
    let rows = [
        (Duration::ZERO, 0),
        (Duration::from_secs(1), 1 << 18),
        (Duration::from_millis(1500), 3 << 17),
        (Duration::from_secs(63), 63 << 18),
        (Duration::from_secs(64), 0),
        (Duration::from_secs(65), 1 << 18),
        (Duration::from_nanos(63_999_999_999), 0),
        (Duration::from_secs(u64::MAX), 63 << 18),
    ];
    for (time, steps) in rows {
        let value = AbsSendTime::from_duration(time);
        assert_eq!(value, AbsSendTime(steps), "{time:?}");
        assert_eq!(AbsSendTime::parse(&value.to_bytes()), Ok(value));
    }
    for millis in (0..64_000).step_by(7) {
        let time = Duration::from_millis(millis);
        let error = AbsSendTime::from_duration(time).to_duration().abs_diff(time);
        assert!(error <= Duration::from_micros(2), "{time:?} {error:?}");
    }
    for len in [0, 1, 2, 4] {
        assert_eq!(AbsSendTime::parse(&[0; 4][..len]), Err(ExtensionError::ValueLength));
    }
}

#[test]
fn transport_sequence_is_parsed_and_written() {
    for number in [0, 1, 32767, 32768, 65534, 65535].map(SeqNo) {
        let [a, b] = write_transport_sequence(number);
        assert_eq!(transport_sequence(&[a, b]), Ok(number));
        assert_eq!(transport_sequence(&[a, b, 0x80, 1]), Ok(number));
    }
    for len in [0, 1, 3, 5] {
        assert_eq!(transport_sequence(&[0; 5][..len]), Err(ExtensionError::ValueLength));
    }
}
