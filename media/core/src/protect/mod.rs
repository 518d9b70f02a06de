//! Protection against loss: how many copies to send, and at what distances.
//!
//! Pure functions and small state. [`LossMeter`] says how lossy a way is and in what runs,
//! [`choose`] which copies make good for that, [`Steering`] keeps the choice calm, and
//! [`AudioHistory`] holds the frames copies are made of. [`video`] does the same for packets of video.

use std::time::Duration;

pub mod floor;
mod history;
mod meter;
mod offsets;
pub mod requests;
mod steering;
pub mod uplink;
pub mod video;

pub use history::AudioHistory;
pub use meter::{LinkLoss, LossMeter};
pub use offsets::{MAX_SPAN, Offsets, choose, residual};
pub use steering::Steering;
pub use video::Protection;

/// Largest payload with copies. Chromium stops a track for good above 1,000 bytes.
pub const MAX_PAYLOAD: usize = 1_000;
/// Bit rate above which nobody needs to be told to stay below.
const FREE_BITRATE_BPS: u64 = 40_000;
/// What is left of a frame's share for frames that are larger than the mean.
const MEAN_PERCENT: usize = 85;

/// Copies that fit a payload beside a frame where all frames have `frame_len` bytes.
pub fn copies_that_fit(frame_len: usize) -> u8 {
    let room = MAX_PAYLOAD.saturating_sub(1 + frame_len);
    (room / (frame_len + crate::red::HEADER_LEN)).min(usize::from(MAX_SPAN)) as u8
}

/// Bit rate of an encoder with such frames with which so many copies fit a payload;
/// `None` if that is more than speech takes anyway.
pub fn bitrate_for(copies: u8, frame: Duration) -> Option<u32> {
    let copies = usize::from(copies);
    let room = MAX_PAYLOAD - 1 - crate::red::HEADER_LEN * copies;
    let frame_len = room * MEAN_PERCENT / 100 / (copies + 1);
    let bitrate_bps = frame_len as u64 * 8_000_000 / (frame.as_micros() as u64).max(1);
    (bitrate_bps < FREE_BITRATE_BPS).then_some((bitrate_bps / 1_000 * 1_000) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn what_is_said_to_fit_fits() {
        for frame_len in 1..1_000 {
            let copies = usize::from(copies_that_fit(frame_len));
            assert!(1 + frame_len + copies * (frame_len + 4) <= MAX_PAYLOAD, "{frame_len}");
            let is_most = copies == usize::from(MAX_SPAN)
                || 1 + frame_len + (copies + 1) * (frame_len + 4) > MAX_PAYLOAD;
            assert!(is_most, "{frame_len}");
        }
    }

    #[test]
    fn bit_rates_fall_with_the_copies_and_leave_room_for_them() {
        assert_eq!(bitrate_for(0, ms(20)), None);
        assert_eq!(bitrate_for(3, ms(20)), None);
        assert_eq!(bitrate_for(15, ms(20)), Some(19_000));
        assert_eq!(bitrate_for(17, ms(20)), Some(17_000));
        for copies in 8..=MAX_SPAN {
            let frame_len = bitrate_for(copies, ms(20)).unwrap() as usize / 400;
            assert!(copies_that_fit(frame_len) >= copies);
        }
        assert_eq!(bitrate_for(15, ms(60)), Some(6_000));
    }
}
