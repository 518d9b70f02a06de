//! Switching between encodings of VP9 and H.264: the numbers of the one, the parameters of the
//! other.

mod support;

use std::time::Duration;

use media_core::api::LayerSwitchReason;
use media_core::codec::vp9::Vp9Descriptor;
use support::form::{Form, has_parameter_sets};
use support::inbound::{Got, Inbound};
use support::simulcast::*;
use support::{World, good_network, lossy};

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// Whole pictures of one encoding each, in time, and a keyframe after every switch.
fn assert_whole(inbound: &Inbound) {
    assert_eq!(inbound.gaps(), Vec::<u64>::new(), "sequence numbers");
    let frames = frames(inbound);
    assert!(frames[0][0].is_keyframe, "starts with a keyframe");
    for frame in &frames {
        let (last, rest) = frame.split_last().unwrap();
        assert!(last.marker && rest.iter().all(|got| !got.marker), "marker");
        assert!(frame.iter().all(|got| got.ssrc_of_publisher == last.ssrc_of_publisher));
        assert!(frame.iter().all(|got| got.payload_type == 120));
    }
    for pair in frames.windows(2) {
        let (before, after) = (pair[0][0], pair[1][0]);
        assert!(after.timestamp.wrapping_sub(before.timestamp) as i32 > 0, "time goes back");
        if before.ssrc_of_publisher != after.ssrc_of_publisher {
            assert!(after.is_keyframe, "a switch without a keyframe");
        }
    }
}

/// What a decoder of VP9 goes by (RFC 9628, section 4.2).
fn assert_numbered(inbound: &Inbound) {
    let descriptor = |got: &Got| Vp9Descriptor::parse(&got.start).unwrap();
    let frames = frames(inbound);
    for frame in &frames {
        let (first, last) = (descriptor(frame[0]), descriptor(frame[frame.len() - 1]));
        assert!(first.frame_start && last.frame_end);
        assert_eq!(first.inter_predicted, !frame[0].is_keyframe);
        let numbers = |got: &Got| (descriptor(got).picture_id, descriptor(got).tl0_picture_index);
        assert!(frame.iter().all(|got| numbers(got) == numbers(frame[0])));
    }
    for pair in frames.windows(2) {
        let (old, new) = (descriptor(pair[0][0]), descriptor(pair[1][0]));
        assert_eq!(new.picture_id, old.picture_id.map(|id| (id + 1) & 0x7fff), "picture id");
        let is_base = u8::from(new.layer.unwrap().temporal == 0);
        let tl0 = old.tl0_picture_index.map(|index| index.wrapping_add(is_base));
        assert_eq!(new.tl0_picture_index, tl0, "TL0PICIDX");
    }
}

/// First packets of what comes after each switch, and of all.
fn beginnings(inbound: &Inbound) -> Vec<&Got> {
    let mut found: Vec<&Got> = Vec::new();
    let mut source = None;
    for got in inbound.got.values().filter(|got| !got.is_empty) {
        if source.replace(got.ssrc_of_publisher) != Some(got.ssrc_of_publisher) {
            found.push(got);
        }
    }
    found
}

#[test]
fn switches_leave_no_gap_in_any_number_and_no_lip_sync_jump() {
    for form in [Form::Vp8, Form::Vp9, Form::H264, Form::BareH264] {
        let mut world = simulcast_by(form);
        world.run(ms(2_000));
        for step in 0..24_usize {
            wish(&mut world, 0, Some(([0, 2, 1, 2, 0, 1][step % 6], 7)), 0);
            // At all phases of the frame interval.
            world.run(ms(700 + 7 * step as u64));
        }
        settle(&mut world);
        let inbound = inbound(&world, 0);
        assert_whole(inbound);
        assert_in_sync(inbound);
        match form {
            Form::Vp8 => assert_decodable(inbound),
            Form::Vp9 => assert_numbered(inbound),
            Form::H264 => {
                assert!(beginnings(inbound).iter().all(|got| has_parameter_sets(got.start)));
            }
            Form::BareH264 => {}
        }
        let seen = encodings_seen(&world, 0);
        assert!(seen.len() >= 24, "{form:?} {seen:?}");
        let freeze = longest_freeze(inbound, world.start + ms(3_000));
        assert!(freeze < ms(100), "{form:?}: {freeze:?} without a picture");
    }
}

#[test]
fn a_falling_budget_ends_on_the_lower_encoding_and_a_rising_one_comes_back() {
    for form in [Form::Vp9, Form::H264] {
        let mut world = simulcast_by(form);
        world.run(ms(4_500));
        let spatial = |world: &mut World| {
            world.snapshot().consumers[0].current.map(|current| current.spatial)
        };
        assert_eq!(spatial(&mut world), Some(2), "{form:?}");
        let since = world.now;
        world.set_budget(1, Some(400_000));
        // No later than the higher one would have been stopped.
        world.run(ms(500));
        assert!(spatial(&mut world) < Some(2), "{form:?}");
        world.set_budget(1, Some(5_000_000));
        world.run(ms(4_500));
        assert_eq!(spatial(&mut world), Some(2), "{form:?}");
        settle(&mut world);
        let inbound = inbound(&world, 0);
        assert_whole(inbound);
        assert!(longest_freeze(inbound, since) < ms(100), "{form:?}");
        let counters = world.snapshot().counters;
        assert!(counters.layer_switches_down[LayerSwitchReason::Budget as usize] >= 1);
        assert!(counters.layer_switches_up[LayerSwitchReason::Budget as usize] >= 1);
    }
}

#[test]
fn no_picture_of_another_size_starts_without_its_parameter_sets() {
    let mut late = 0;
    for seed in 0..24 {
        let mut world = simulcast_by(Form::H264);
        wish(&mut world, 0, Some((0, 7)), 0);
        world.run(ms(2_000 + seed * 7));
        // Heavy loss on the way to the server while keyframes of the others come.
        for step in 0..4_usize {
            wish(&mut world, 0, Some(([1, 2, 1, 0][step], 7)), 0);
            world.set_network(0, lossy(0.4), good_network());
            world.run(ms(300));
            world.set_network(0, good_network(), good_network());
            world.run(ms(1_200));
        }
        settle(&mut world);
        let inbound = inbound(&world, 0);
        assert_eq!(encodings_seen(&world, 0).last(), Some(&0), "{seed}");
        assert_eq!(inbound.gaps(), Vec::<u64>::new(), "{seed}");
        let beginnings = beginnings(inbound);
        assert!(beginnings.len() >= 5, "{seed}: {}", beginnings.len());
        assert!(beginnings.iter().all(|got| has_parameter_sets(got.start)), "{seed}");
        late += world.client(0).media.tracks.iter().map(|track| track.resent).sum::<u64>();
    }
    assert!(late > 100, "{late}");
}
