//! Opus packets (RFC 6716, section 3; RFC 7587).

use std::time::Duration;

use super::{MalformedPayload, PayloadInfo};

/// Longest audio a packet may hold.
const LONGEST: Duration = Duration::from_millis(120);

/// Each packet is a frame of its own and can be decoded alone.
pub fn inspect(payload: &[u8]) -> Result<PayloadInfo, MalformedPayload> {
    if payload.is_empty() {
        return Err(MalformedPayload);
    }
    Ok(PayloadInfo { frame_start: true, keyframe_start: true, ..Default::default() })
}

/// Whether the packet only says that nobody speaks: one or two bytes of comfort noise update.
pub fn is_dtx(payload: &[u8]) -> bool {
    matches!(payload.len(), 1 | 2)
}

/// How much audio the packet holds, by its first bytes.
///
/// # Errors
///
/// The packet is empty, lacks its frame count, or claims more than 120 ms or no frame at all.
pub fn packet_duration(payload: &[u8]) -> Result<Duration, MalformedPayload> {
    let toc = *payload.first().ok_or(MalformedPayload)?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1).ok_or(MalformedPayload)? & 0x3f),
    };
    let duration = frame_duration(toc) * frames;
    if frames == 0 || duration > LONGEST { Err(MalformedPayload) } else { Ok(duration) }
}

/// Table 2: the configuration is in the upper five bits.
fn frame_duration(toc: u8) -> Duration {
    let configuration = toc >> 3;
    let step = usize::from(configuration & 3);
    Duration::from_micros(match configuration {
        0..12 => [10_000, 20_000, 40_000, 60_000][step],
        12..16 => [10_000, 20_000][step & 1],
        _ => [2_500, 5_000, 10_000, 20_000][step],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_configuration_and_the_count() {
        let us = |payload: &[u8]| packet_duration(payload).map(|duration| duration.as_micros());
        let table: [(&[u8], u128); 12] = [
            (&[0 << 3], 10_000),
            (&[1 << 3], 20_000),
            (&[3 << 3], 60_000),
            (&[11 << 3], 60_000),
            (&[12 << 3], 10_000),
            (&[15 << 3], 20_000),
            (&[16 << 3], 2_500),
            (&[31 << 3], 20_000),
            (&[31 << 3 | 1, 0], 40_000),
            (&[31 << 3 | 2, 0], 40_000),
            (&[31 << 3 | 3, 6], 120_000),
            (&[16 << 3 | 3, 0xc0 | 48], 120_000),
        ];
        for (payload, expected) in table {
            assert_eq!(us(payload), Ok(expected), "{payload:?}");
        }
    }

    #[test]
    fn impossible_packets_are_errors() {
        let table: [&[u8]; 5] = [&[], &[3], &[31 << 3 | 3, 0], &[31 << 3 | 3, 7], &[3 << 3 | 3, 3]];
        for payload in table {
            assert_eq!(packet_duration(payload), Err(MalformedPayload), "{payload:?}");
        }
    }

    #[test]
    fn one_or_two_bytes_are_silence() {
        let lens = [0, 1, 2, 3].map(|len| is_dtx(&[0x78; 3][..len]));
        assert_eq!(lens, [false, true, true, false]);
    }
}
