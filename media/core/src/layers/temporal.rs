//! Leaving out temporal layers (RFC 7741, section 4.2: TID and Y).

use crate::api::Layer;
use crate::codec::PayloadInfo;

/// Ten seconds of video: a frame further back has not been overtaken, the clock was set.
const FAR_BACK: u32 = 900_000;

/// Decides frame by frame which temporal layers pass.
///
/// Downwards with the next frame; upwards one layer at a time, with a frame that depends on
/// nothing above the base layer, or with a keyframe. A frame is never cut in two: its packets,
/// early or late, share one decision.
#[derive(Debug, Clone, Copy)]
pub struct TemporalFilter {
    current: u8,
    target: u8,
    /// Only the base layer passes for now, whatever the target is.
    thinned: bool,
    /// Timestamp of the newest frame and whether it passes.
    frame: Option<(u32, bool)>,
}

impl Default for TemporalFilter {
    fn default() -> TemporalFilter {
        let all = Layer::ALL_TEMPORAL;
        TemporalFilter { current: all, target: all, thinned: false, frame: None }
    }
}

impl TemporalFilter {
    /// Starts over with a keyframe, after which every layer can be received.
    pub fn restart(&mut self, target: u8) {
        *self = TemporalFilter { current: target, target, thinned: self.thinned, frame: None };
    }

    /// Highest layer that shall pass.
    pub fn set_target(&mut self, target: u8) {
        self.target = target;
    }

    /// Whether only the base layer shall pass for now: what waits to be sent has become long.
    pub fn set_thinned(&mut self, thinned: bool) {
        self.thinned = thinned;
    }

    /// See [`TemporalFilter::set_thinned`].
    pub fn is_thinned(&self) -> bool {
        self.thinned
    }

    /// Highest layer that shall pass.
    pub fn target(&self) -> u8 {
        match self.thinned {
            true => 0,
            false => self.target,
        }
    }

    /// Highest layer that passes at present.
    pub fn current(&self) -> u8 {
        self.current
    }

    /// Whether a packet passes. Streams without temporal layers always do.
    pub fn admit(&mut self, info: &PayloadInfo, timestamp: u32) -> bool {
        let (Some(layer), Some(sync)) = (info.temporal_layer, info.layer_sync) else {
            return true;
        };
        match self.frame {
            Some((newest, passes)) if newest == timestamp => return passes,
            // Overtaken by a newer frame: nothing begins here.
            Some((newest, _)) if newest.wrapping_sub(timestamp) < FAR_BACK => {
                return layer <= self.current;
            }
            _ => {}
        }
        let target = self.target();
        if info.keyframe_start || self.current > target {
            self.current = target;
        } else if sync && layer == self.current + 1 && layer <= target {
            self.current = layer;
        }
        let passes = layer <= self.current;
        self.frame = Some((timestamp, passes));
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(layer: u8, sync: bool) -> PayloadInfo {
        PayloadInfo {
            frame_start: true,
            temporal_layer: Some(layer),
            layer_sync: Some(sync),
            ..PayloadInfo::default()
        }
    }

    fn passed(filter: &mut TemporalFilter, first: u32, frames: &[(u8, bool)]) -> Vec<bool> {
        let numbered = frames.iter().zip(first..);
        numbered
            .map(|((layer, sync), at)| filter.admit(&frame(*layer, *sync), at * 3_000))
            .collect()
    }

    #[test]
    fn layers_go_with_the_next_frame() {
        let mut filter = TemporalFilter::default();
        assert_eq!(passed(&mut filter, 0, &[(0, false), (2, true)]), [true, true]);
        filter.set_target(1);
        assert!(filter.admit(&frame(2, true), 3_000), "the rest of a frame that was begun");
        let pattern = [(1, true), (2, false), (0, false), (2, true), (1, false)];
        assert_eq!(passed(&mut filter, 2, &pattern), [true, false, true, false, true]);
        filter.set_target(0);
        assert_eq!(passed(&mut filter, 7, &[(1, true), (0, false)]), [false, true]);
    }

    #[test]
    fn layers_return_one_at_a_time_at_frames_that_need_only_the_base() {
        let mut filter = TemporalFilter::default();
        filter.set_target(0);
        passed(&mut filter, 0, &[(0, false)]);
        filter.set_target(2);
        let pattern = [
            (2, true),  // needs only the base, but layer 1 is not there yet
            (1, false), // needs an earlier one of layer 1
            (2, false),
            (0, false),
            (1, true),
            (2, false),
            (2, true),
            (1, false),
        ];
        let expected = [false, false, false, true, true, false, true, true];
        assert_eq!(passed(&mut filter, 1, &pattern), expected);
        assert_eq!(filter.current(), 2);
    }

    #[test]
    fn thinning_holds_the_base_layer_until_it_ends() {
        let mut filter = TemporalFilter::default();
        passed(&mut filter, 0, &[(0, false)]);
        filter.set_thinned(true);
        assert_eq!(
            (filter.target(), passed(&mut filter, 1, &[(1, true), (0, false)])[0]),
            (0, false)
        );
        filter.set_target(7);
        filter.restart(1);
        assert_eq!(passed(&mut filter, 3, &[(1, true), (0, false)]), [false, true]);
        filter.set_thinned(false);
        assert_eq!(passed(&mut filter, 5, &[(1, true), (0, false)]), [true, true]);
    }

    #[test]
    fn a_keyframe_brings_all_layers_back() {
        let mut filter = TemporalFilter::default();
        filter.set_target(0);
        passed(&mut filter, 0, &[(0, false), (1, true)]);
        filter.set_target(2);
        assert!(filter.admit(&PayloadInfo { keyframe_start: true, ..frame(0, true) }, 9_000));
        assert_eq!(passed(&mut filter, 4, &[(2, false), (1, false)]), [true, true]);
    }

    #[test]
    fn packets_of_one_frame_share_their_fate_across_the_wrap() {
        let mut filter = TemporalFilter::default();
        filter.set_target(0);
        assert!(filter.admit(&frame(0, true), u32::MAX - 100));
        assert!(!filter.admit(&frame(1, true), 2_900));
        filter.set_target(7);
        assert!(!filter.admit(&frame(1, true), 2_900), "already decided");
        assert!(!filter.admit(&frame(1, true), u32::MAX - 3_100), "overtaken");
        assert!(filter.admit(&frame(0, true), u32::MAX - 100));
        assert!(filter.admit(&frame(1, true), 8_900));
    }

    #[test]
    fn a_clock_that_was_set_back_leaves_the_layers_to_be_chosen() {
        let mut filter = TemporalFilter::default();
        assert!(filter.admit(&frame(2, true), 2_000_000));
        filter.set_target(0);
        assert!(filter.admit(&frame(2, true), 1_900_000), "overtaken");
        assert!(!filter.admit(&frame(2, true), 1_000_000));
        assert!(filter.admit(&frame(0, true), 1_003_000));
        assert!(!filter.admit(&frame(1, true), 1_006_000));
    }

    #[test]
    fn streams_without_temporal_layers_pass() {
        let mut filter = TemporalFilter::default();
        filter.set_target(0);
        let vp9 = PayloadInfo { temporal_layer: Some(2), ..PayloadInfo::default() };
        assert!(filter.admit(&PayloadInfo::default(), 0) && filter.admit(&vp9, 1));
    }
}
