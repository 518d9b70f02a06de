//! H.264 payloads (RFC 6184, section 5).

use super::{MalformedPayload, PayloadInfo};
use crate::rtp::bytes::{u8_at, u16_at};

const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Says where frames and keyframes start: with a sequence parameter set or an IDR slice.
///
/// The first slice of a picture is known by its first macroblock being number zero.
///
/// # Errors
///
/// The payload is empty, ends early, is of a type that is not negotiated (STAP-B, MTAP, FU-B),
/// or has the forbidden bit set.
pub fn inspect(payload: &[u8]) -> Result<PayloadInfo, MalformedPayload> {
    let header = u8_at(payload, 0).ok_or(MalformedPayload)?;
    if header & 0x80 != 0 {
        return Err(MalformedPayload);
    }
    match header & 0x1f {
        1..=23 => Ok(inspect_unit(header & 0x1f, &payload[1..])),
        STAP_A => inspect_aggregate(&payload[1..]),
        FU_A => inspect_fragment(&payload[1..]),
        _ => Err(MalformedPayload),
    }
}

/// A NAL unit, without its header.
fn inspect_unit(unit_type: u8, unit: &[u8]) -> PayloadInfo {
    let frame_start = match unit_type {
        // Slices: first_mb_in_slice is zero if its Exp-Golomb code is a single one bit.
        1 | 2 | IDR_SLICE => unit.first().is_some_and(|byte| byte & 0x80 != 0),
        // Supplemental information, parameter sets and delimiters precede a picture.
        6..=9 => true,
        _ => false,
    };
    let key = matches!(unit_type, IDR_SLICE | SPS) && !unit.is_empty();
    let keyframe_start = frame_start && key;
    let needs_head = keyframe_start && unit_type == IDR_SLICE;
    PayloadInfo { frame_start, keyframe_start, needs_head, ..Default::default() }
}

/// Several units, each after its length. The first one tells whether a frame starts; any may
/// be the parameter set (an access unit delimiter may come first).
fn inspect_aggregate(mut units: &[u8]) -> Result<PayloadInfo, MalformedPayload> {
    let mut info: Option<PayloadInfo> = None;
    let mut has_parameters = false;
    while !units.is_empty() {
        let len = usize::from(u16_at(units, 0).ok_or(MalformedPayload)?);
        let unit = units.get(2..2 + len).ok_or(MalformedPayload)?;
        let header = u8_at(unit, 0).ok_or(MalformedPayload)?;
        let found = inspect_unit(header & 0x1f, &unit[1..]);
        let info = info.get_or_insert(found);
        info.keyframe_start |= found.keyframe_start && info.frame_start;
        has_parameters |= found.keyframe_start && !found.needs_head;
        info.needs_head = info.keyframe_start && !has_parameters;
        units = &units[2 + len..];
    }
    info.ok_or(MalformedPayload)
}

/// A fragment; only the first can start anything.
fn inspect_fragment(fragment: &[u8]) -> Result<PayloadInfo, MalformedPayload> {
    let header = u8_at(fragment, 0).ok_or(MalformedPayload)?;
    let (start, end) = (header & 0x80 != 0, header & 0x40 != 0);
    if start && end || fragment.len() < 2 {
        return Err(MalformedPayload);
    }
    if !start {
        return Ok(PayloadInfo::default());
    }
    Ok(inspect_unit(header & 0x1f, &fragment[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_start_with_parameters_or_an_idr_slice() {
        let table: [(&[u8], bool, bool); 15] = [
            (&[0x67, 0x42, 0xe0, 0x1f], true, true),
            (&[0x68, 0xce], true, false),
            (&[0x65, 0x88], true, true),
            // A later slice of the same picture.
            (&[0x65, 0x48], false, false),
            (&[0x41, 0x9a], true, false),
            (&[0x01, 0x1a], false, false),
            (&[0x06, 0x05], true, false),
            (&[0x09, 0x10], true, false),
            // STAP-A: SPS and PPS; PPS alone; AUD, SPS.
            (&[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce], true, true),
            (&[0x78, 0, 2, 0x68, 0xce], true, false),
            (&[0x78, 0, 2, 0x09, 0x10, 0, 2, 0x67, 0x42], true, true),
            // FU-A: start of an IDR slice, its middle, its end, start of a P slice.
            (&[0x7c, 0x85, 0x88], true, true),
            (&[0x7c, 0x05, 0x88], false, false),
            (&[0x7c, 0x45, 0x88], false, false),
            (&[0x5c, 0x81, 0x9a], true, false),
        ];
        for (payload, frame_start, keyframe_start) in table {
            let info = inspect(payload).unwrap();
            let found = (info.frame_start, info.keyframe_start);
            assert_eq!(found, (frame_start, keyframe_start), "{payload:x?}");
        }
    }

    #[test]
    fn an_idr_slice_needs_what_comes_before_it_and_parameters_need_nothing() {
        let table: [(&[u8], bool); 8] = [
            (&[0x67, 0x42, 0xe0, 0x1f], false),
            (&[0x65, 0x88], true),
            (&[0x7c, 0x85, 0x88], true),
            (&[0x41, 0x9a], false),
            // STAP-A: SPS, PPS, IDR; SPS; PPS, IDR; AUD, IDR.
            (&[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88], false),
            (&[0x78, 0, 2, 0x67, 0x42], false),
            (&[0x78, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88], true),
            (&[0x78, 0, 2, 0x09, 0x10, 0, 2, 0x65, 0x88], true),
        ];
        for (payload, needs_head) in table {
            assert_eq!(inspect(payload).unwrap().needs_head, needs_head, "{payload:x?}");
        }
    }

    #[test]
    fn malformed_payloads_are_errors() {
        let table: [&[u8]; 14] = [
            &[],
            &[0x00],
            &[0x80 | 0x67, 0x42],
            &[0x78],
            &[0x78, 0],
            &[0x78, 0, 0],
            &[0x78, 0, 2, 0x67],
            &[0x78, 0, 2, 0x67, 0x42, 0],
            &[0x78, 0xff, 0xff, 0x67],
            &[0x7c],
            &[0x7c, 0x85],
            &[0x7c, 0xc5, 0x88],
            &[0x79, 0, 0, 0, 2, 0x67, 0x42],
            &[0x7f, 1, 2, 3],
        ];
        for payload in table {
            assert_eq!(inspect(payload), Err(MalformedPayload), "{payload:x?}");
        }
    }

    #[test]
    fn a_unit_without_content_starts_no_keyframe() {
        for payload in [&[0x67][..], &[0x65], &[0x78, 0, 1, 0x67]] {
            assert!(!inspect(payload).unwrap().keyframe_start, "{payload:x?}");
        }
    }
}
