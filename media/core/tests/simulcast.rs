//! Switching between encodings and temporal layers, as a subscriber's decoder sees it.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use media_core::DropReason;
use media_core::api::{Command, Event, Layer, LayerSwitchReason, MediaKind};
use media_core::netem::NetemConfig;
use media_core::rtcp;
use media_core::srtp::MAX_OVERHEAD;
use support::media::TrackConfig;
use support::simulcast::*;
use support::{Datagram, World, good_network, lossy};

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn plis(world: &mut World) -> Vec<u64> {
    world.client(0).media.tracks.iter().map(|track| track.plis).collect()
}

#[test]
fn switches_leave_no_gap_in_any_number_and_no_lip_sync_jump() {
    for temporal_layers in [1, 2, 3] {
        let mut world = simulcast(3, temporal_layers, 1);
        world.run(ms(2_000));
        for step in 0..24_usize {
            let spatial = [0, 2, 1, 2, 0, 1][step % 6];
            wish(&mut world, 0, Some((spatial, 7)), 0);
            // At all phases of the frame interval.
            world.run(ms(700 + 7 * step as u64));
        }
        settle(&mut world);
        let inbound = inbound(&world, 0);
        assert_decodable(inbound);
        assert_in_sync(inbound);
        let seen = encodings_seen(&world, 0);
        assert!(seen.len() >= 24, "{seen:?}");
        let freeze = longest_freeze(inbound, world.start + ms(3_000));
        assert!(freeze < ms(100), "{freeze:?} without a picture");
    }
}

#[test]
fn switches_survive_loss_on_both_sides() {
    for seed in 0..4 {
        let mut world = simulcast(3, 3, 1);
        world.run(ms(1_000 + seed * 13));
        world.set_network(0, lossy(0.05), good_network());
        world.set_network(1, good_network(), lossy(0.05));
        for step in 0..12 {
            wish(&mut world, 0, Some(([0, 2, 1][step % 3], 7)), 0);
            world.run(ms(900));
        }
        wish(&mut world, 0, Some((2, 7)), 0);
        world.run(ms(500));
        settle(&mut world);
        let inbound = inbound(&world, 0);
        assert_eq!(inbound.gaps(), Vec::<u64>::new());
        // Frames that got lost at a switch leave holes in the picture numbers, never doubles.
        let mut last = None;
        for frame in frames(inbound) {
            let id = frame[0].vp8.unwrap().picture_id.unwrap();
            let ahead = last.map(|last: u16| id.wrapping_sub(last) & 0x7fff);
            assert!(ahead.is_none_or(|ahead| (1..64).contains(&ahead)), "{ahead:?}");
            last = Some(id);
        }
        let by_rtx = inbound.got.values().filter(|got| got.by_rtx).count();
        assert!(by_rtx > 20, "{by_rtx}");
    }
}

#[test]
fn an_encoder_that_begins_anew_below_its_first_picture_is_seen_on() {
    for (id, tl0, key) in [(20_000, 7, 3), (32_000, 250, 30)] {
        let mut world = simulcast(1, 3, 1);
        world.run(ms(1_000));
        world.client(0).media.tracks[0].renumber((id, tl0, key));
        world.run(ms(2_000));
        settle(&mut world);
        assert_decodable(inbound(&world, 0));
        let freeze = longest_freeze(inbound(&world, 0), world.start + ms(500));
        assert!(freeze < ms(100), "{freeze:?} from {id} on");
    }
}

#[test]
fn packets_of_before_a_switch_are_sent_again_with_their_numbers() {
    let mut world = simulcast(2, 3, 1);
    wish(&mut world, 0, Some((0, 7)), 0);
    world.run(ms(2_000));
    // Everything is lost for 80 ms around the switch.
    wish(&mut world, 0, Some((1, 7)), 0);
    world.run(ms(20));
    world.set_network(1, good_network(), lossy(1.0));
    world.run(ms(80));
    world.set_network(1, good_network(), good_network());
    world.run(ms(1_000));
    settle(&mut world);
    assert_eq!(encodings_seen(&world, 0).last(), Some(&1));
    let inbound = inbound(&world, 0);
    assert_decodable(inbound);
    let again = |ssrc: u32| {
        inbound.got.values().filter(|got| got.by_rtx && got.ssrc_of_publisher == ssrc).count()
    };
    assert!(again(2_000) > 0 && again(3_000) > 0, "{} {}", again(2_000), again(3_000));
}

#[test]
fn many_subscribers_switching_at_once_cost_one_keyframe_request() {
    let mut world = simulcast(3, 1, 8);
    for subscriber in 0..8 {
        wish(&mut world, subscriber, Some((0, 7)), 0);
    }
    world.run(ms(4_000));
    let before = plis(&mut world);
    for subscriber in 0..8 {
        wish(&mut world, subscriber, Some((2, 7)), 0);
    }
    world.run(ms(1_500));
    let after = plis(&mut world);
    assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], [0, 0, 1]);
    for subscriber in 0..8 {
        assert_eq!(encodings_seen(&world, subscriber).last(), Some(&2));
    }
}

#[test]
fn temporal_layers_go_at_once_and_return_at_frames_that_allow_it() {
    let mut world = simulcast(1, 3, 1);
    world.run(ms(2_000));
    let layers_since = |world: &World, since| -> Vec<u8> {
        let frames = frames(inbound(world, 0));
        let new = frames.iter().filter(|frame| frame[0].at >= since);
        new.map(|frame| frame[0].vp8.unwrap().temporal_layer.unwrap().0).collect()
    };
    for (most, share) in [(0, 4), (1, 2), (0, 4), (7, 1)] {
        wish(&mut world, 0, Some((0, most)), 0);
        // What is on the way arrives first; layers return within one pattern of eight frames.
        world.run(ms(400));
        let since = world.now;
        world.run(ms(3_200));
        let layers = layers_since(&world, since);
        assert_eq!(layers.iter().max(), Some(&most.min(2)));
        assert!((80 / share - 2..=80 / share + 2).contains(&layers.len()), "{}", layers.len());
    }
    settle(&mut world);
    assert_decodable(inbound(&world, 0));
    assert_in_sync(inbound(&world, 0));
    assert_eq!(plis(&mut world), [1], "temporal layers need no keyframes");
}

#[test]
fn a_falling_budget_thins_at_once_and_ends_on_the_lower_encoding() {
    let mut world = simulcast(3, 3, 1);
    // What young encodings send is no measure of what they cost.
    world.run(ms(4_500));
    let current = |world: &mut World| world.snapshot().consumers[0].current.unwrap();
    assert_eq!(current(&mut world).spatial, 2);
    let wanted = world.snapshot().transports[1].wanted_bps;
    assert!((1_000_000..1_300_000).contains(&wanted), "{wanted}");
    let since = world.now;
    world.set_budget(1, Some(480_000));
    assert_eq!(current(&mut world), Layer { spatial: 2, temporal: 0 });
    world.run(ms(400));
    assert_eq!(current(&mut world).spatial, 1);
    world.set_budget(1, Some(100_000));
    world.run(ms(400));
    assert_eq!(current(&mut world).spatial, 0);
    // Nothing rises while the memory of the fall is fresh, then all of it.
    world.set_budget(1, Some(5_000_000));
    world.run(ms(2_000));
    assert_eq!(current(&mut world).spatial, 0);
    world.run(ms(2_000));
    assert_eq!(current(&mut world).spatial, 2);
    settle(&mut world);
    let inbound = inbound(&world, 0);
    assert_decodable(inbound);
    assert_in_sync(inbound);
    let freeze = longest_freeze(inbound, since);
    assert!(freeze <= ms(165), "thinned to a quarter of 25 frames a second, not {freeze:?}");
    let counters = world.snapshot().counters;
    let budget = LayerSwitchReason::Budget as usize;
    assert!(counters.layer_switches_down[budget] >= 2, "{:?}", counters.layer_switches_down);
    assert!(counters.layer_switches_up[budget] >= 1, "{:?}", counters.layer_switches_up);
}

/// Has the subscriber say for a while how much it can take, ten times a second, knowing what
/// arrived in the last second.
fn say_remb(world: &mut World, duration: Duration, bitrate_bps: impl Fn(u64) -> u64) {
    let mut totals = vec![world.snapshot().transports[1].bytes_out];
    for _ in 0..duration.as_millis() / 100 {
        let since = totals[totals.len().saturating_sub(11)];
        let seconds = totals.len().clamp(2, 11) as u64 - 1;
        let arrived_bps = (totals[totals.len() - 1] - since) * 80 / seconds;
        let mut bytes = Vec::new();
        rtcp::write_remb(&mut bytes, 1, bitrate_bps(arrived_bps), &[STREAM]).unwrap();
        let client = world.client(1);
        let len = bytes.len();
        bytes.resize(len + MAX_OVERHEAD, 0);
        let len = client.srtp.as_mut().unwrap().local.protect_rtcp(&mut bytes, len).unwrap();
        bytes.truncate(len);
        let from = client.remote();
        world.deliver(Datagram { from, bytes });
        world.run(ms(100));
        totals.push(world.snapshot().transports[1].bytes_out);
    }
}

#[test]
fn whoever_has_no_better_feedback_gets_what_its_remb_allows() {
    let mut world = simulcast(3, 1, 1);
    world.run(ms(4_500));
    let current = |world: &mut World| world.snapshot().consumers[0].current.unwrap().spatial;
    assert_eq!(current(&mut world), 2);
    say_remb(&mut world, ms(2_000), |_| 150_000);
    assert_eq!(current(&mut world), 0);
    assert_eq!(world.snapshot().transports[1].estimate_bps, Some(150_000));
    // A receiver that estimates by itself believes in little more than arrives.
    say_remb(&mut world, ms(20_000), |arrived_bps| arrived_bps * 3 / 2 + 10_000);
    assert_eq!(current(&mut world), 2);
    settle(&mut world);
    assert_decodable(inbound(&world, 0));
    assert_in_sync(inbound(&world, 0));
}

#[test]
fn filling_what_a_remb_allows_ends_where_nothing_comes_of_it() {
    let mut world = simulcast(3, 1, 1);
    world.run(ms(4_500));
    say_remb(&mut world, ms(20_000), |_| 250_000);
    let before = world.snapshot();
    say_remb(&mut world, ms(60_000), |_| 250_000);
    let after = world.snapshot();
    let sent_bps = (after.transports[1].bytes_out - before.transports[1].bytes_out) * 8 / 60;
    assert!(sent_bps < 130_000, "{sent_bps} for pictures of 70 kb/s");
    assert!(after.counters.padding_out > before.counters.padding_out, "tried now and then");
}

#[test]
fn an_overshoot_ends_even_if_the_lower_keyframe_never_comes() {
    let mut world = simulcast(2, 1, 1);
    world.run(ms(3_000));
    // The lower encoding stops at this very moment: its keyframe will not come.
    world.client(0).media.tracks[0].active = false;
    world.set_budget(1, Some(200_000));
    let since = world.now;
    world.run(ms(1_200));
    let late = inbound(&world, 0).got.values().filter(|got| got.at >= since + ms(850)).count();
    assert_eq!(late, 0, "the higher encoding went on");
    world.run(ms(3_000));
    assert_eq!(world.snapshot().consumers[0].current, None, "nothing that is left fits");
    world.set_budget(1, None);
    world.run(ms(4_000));
    assert_eq!(world.snapshot().consumers[0].current.unwrap().spatial, 1);
    settle(&mut world);
    assert_decodable(inbound(&world, 0));
}

#[test]
fn audio_is_sent_whatever_the_budget() {
    let mut world = simulcast(2, 3, 1);
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.subscribe(1, 20, 10, MediaKind::Audio, 7_000);
    world.run(ms(2_000));
    world.set_budget(1, Some(10_000));
    let since = world.now;
    world.run(ms(3_000));
    let media = &world.endpoints[1].client.media;
    let count = |ssrc: u32, after: Duration| {
        media.inbound[&ssrc].got.values().filter(|got| got.at >= since + after).count()
    };
    assert!((148..=151).contains(&count(7_000, ms(0))), "{}", count(7_000, ms(0)));
    assert!(count(STREAM, ms(0)) > 0, "it is not given up at once");
    assert_eq!(count(STREAM, ms(2_300)), 0);
}

#[test]
fn nobody_is_sent_what_is_not_shown_and_publishers_are_told() {
    let mut world = simulcast(3, 1, 2);
    world.run(ms(3_000));
    assert_eq!(demands(&world), [[false, false, true]]);
    wish(&mut world, 0, Some((0, 7)), 0);
    world.run(ms(1));
    assert_eq!(demands(&world).last(), Some(&vec![true, false, true]), "at once");
    wish(&mut world, 1, None, 0);
    let hidden = world.now;
    world.run(ms(1_900));
    assert_eq!(demands(&world).len(), 2, "not given up yet");
    world.run(ms(400));
    assert_eq!(demands(&world).last(), Some(&vec![true, false, false]));
    let late = inbound(&world, 1).got.values().filter(|got| got.at > hidden + ms(30)).count();
    assert_eq!(late, 0);
    // Shown again.
    wish(&mut world, 1, Some((1, 7)), 0);
    world.run(ms(1));
    assert_eq!(demands(&world).last(), Some(&vec![true, true, false]));
    world.run(ms(500));
    assert_eq!(encodings_seen(&world, 1), [0, 1, 2, 1]);
    assert_decodable(inbound(&world, 1));
    // Nobody is left.
    for subscriber in 0..2 {
        world.execute(Command::RemoveConsumer { consumer: consumer(subscriber) });
    }
    world.run(ms(2_600));
    assert_eq!(demands(&world).last(), Some(&vec![false, false, false]));
}

#[test]
fn a_publisher_that_follows_the_demand_is_switched_without_a_freeze() {
    let mut world = simulcast(3, 3, 1);
    world.run(ms(1_000));
    for step in 0..12 {
        wish(&mut world, 0, Some(([0, 2, 1][step % 3], 7)), 0);
        for _ in 0..30 {
            world.run(ms(100));
            let Some(told) = demands(&world).pop() else { continue };
            follow_demand(&mut world, &told);
        }
        let expected = [0, 2, 1][step % 3];
        let sending: Vec<bool> =
            world.client(0).media.tracks.iter().map(|track| track.active).collect();
        let only: Vec<bool> = (0..3).map(|index| index == expected).collect();
        assert_eq!(sending, only, "step {step}");
    }
    settle(&mut world);
    assert_decodable(inbound(&world, 0));
    assert_in_sync(inbound(&world, 0));
    let freeze = longest_freeze(inbound(&world, 0), world.start + ms(2_000));
    assert!(freeze < ms(120), "{freeze:?}");
}

#[test]
fn an_encoding_that_stops_is_replaced_by_the_best_that_is_left() {
    let mut world = simulcast(3, 1, 1);
    world.run(ms(2_000));
    world.client(0).media.tracks[2].active = false;
    world.run(ms(2_000));
    assert_eq!(encodings_seen(&world, 0).last(), Some(&1));
    let now = world.now;
    let track = &mut world.client(0).media.tracks[2];
    track.restart(now);
    track.active = true;
    world.run(ms(500));
    assert_eq!(encodings_seen(&world, 0).last(), Some(&2));
    assert_decodable(inbound(&world, 0));
    let reasons: Vec<_> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::ConsumerLayersChanged { reason, current: Some(layer), .. } => {
                Some((layer.spatial, *reason))
            }
            _ => None,
        })
        .collect();
    let last = &reasons[reasons.len() - 2..];
    assert_eq!(last, [(1, LayerSwitchReason::Encoding), (2, LayerSwitchReason::Encoding)]);
    // A subscriber that wants something smaller than there is gets the smallest there is.
    world.client(0).media.tracks[0].active = false;
    world.client(0).media.tracks[1].active = false;
    world.run(ms(2_000));
    wish(&mut world, 0, Some((0, 7)), 0);
    let since = world.now;
    world.run(ms(1_000));
    assert!(longest_freeze(inbound(&world, 0), since) < ms(60));
}

#[test]
fn every_packet_is_sent_or_dropped_with_a_reason() {
    let mut world = simulcast(3, 3, 2);
    wish(&mut world, 0, Some((1, 1)), 0);
    wish(&mut world, 1, None, 0);
    world.run(ms(2_000));
    wish(&mut world, 1, Some((2, 0)), 0);
    world.run(ms(2_000));
    let counters = world.snapshot().counters;
    let dropped: u64 = counters.dropped.iter().sum();
    assert_eq!(counters.rtp_packets_in[1] * 2, counters.rtp_packets_out[1] + dropped);
    assert!(counters.dropped[DropReason::LayerNotWanted as usize] > 500);
    assert_eq!(counters.fillers_out, 0);
}

#[test]
fn a_keyframe_whose_first_packet_comes_late_starts_without_a_gap() {
    for seed in 0..8 {
        let mut world = simulcast(2, 3, 1);
        wish(&mut world, 0, Some((0, 7)), 0);
        world.run(ms(2_000 + seed));
        wish(&mut world, 0, Some((1, 7)), 0);
        // Heavy loss on the way to the server while the keyframe comes.
        world.set_network(0, lossy(0.5), good_network());
        world.run(ms(300));
        world.set_network(0, good_network(), good_network());
        world.run(ms(1_500));
        settle(&mut world);
        assert_eq!(encodings_seen(&world, 0).last(), Some(&1));
        assert_eq!(inbound(&world, 0).gaps(), Vec::<u64>::new());
    }
}

#[test]
fn a_switch_before_the_first_report_follows_the_arrival() {
    let mut world = simulcast(2, 1, 1);
    world.client(0).media.reports = false;
    wish(&mut world, 0, Some((0, 7)), 0);
    world.run(ms(1_000));
    wish(&mut world, 0, Some((1, 7)), 0);
    world.run(ms(1_000));
    settle(&mut world);
    let inbound = inbound(&world, 0);
    assert!(inbound.sender_reports.is_empty(), "no mapping is made up");
    assert_eq!(encodings_seen(&world, 0), [0, 1]);
    assert_decodable(inbound);
    for pair in frames(inbound).windows(2) {
        let ticks = pair[1][0].timestamp.wrapping_sub(pair[0][0].timestamp);
        // Both pictures may have been taken at once; no path is 45 ms slower than another.
        assert!(ticks <= 4_050 + 3_600, "{ticks}");
    }
}

#[test]
fn a_lone_picture_that_does_not_fit_is_tried_again() {
    let mut world = World::pair();
    world.publish(0, 10, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 20, 10, MediaKind::Video, STREAM);
    world.run(ms(2_000));
    let since = world.now;
    world.set_budget(1, Some(60_000));
    world.run(ms(14_000));
    let got = &inbound(&world, 0).got;
    let seconds: BTreeSet<u64> =
        got.values().filter(|got| got.at >= since).map(|got| (got.at - since).as_secs()).collect();
    assert!(seconds.is_superset(&BTreeSet::from([0, 1, 7])), "{seconds:?}");
    assert!(seconds.is_disjoint(&BTreeSet::from([3, 4, 5, 9, 10, 11, 12, 13])), "{seconds:?}");
    world.set_budget(1, None);
    world.run(ms(4_000));
    assert!(world.snapshot().consumers[0].current.is_some());
}

#[test]
fn priorities_decide_who_is_thinned() {
    let mut world = simulcast(3, 1, 1);
    // Slides of one encoding, 150 kbit/s.
    let mut slides = TrackConfig::video(9_000, 9_001);
    (slides.packets_per_frame, slides.payload_len) = (1, 700);
    world.publish(0, 12, slides);
    world.subscribe(1, 40, 12, MediaKind::Video, 8_500);
    let layers = |world: &mut World, consumer: u64| {
        let stats = world.snapshot().consumers;
        stats.into_iter().find(|stats| stats.consumer == consumer).unwrap().target
    };
    let slides_wish = |world: &mut World, priority| {
        let wish = media_core::api::LayerWish { priority, ..Default::default() };
        world.execute(Command::SetConsumerLayers { consumer: 40, wish });
    };
    slides_wish(&mut world, 2);
    world.run(ms(4_000));
    world.set_budget(1, Some(500_000));
    world.run(ms(500));
    assert_eq!(layers(&mut world, 21).map(|layer| layer.spatial), Some(1));
    assert_eq!(layers(&mut world, 40), None);
    wish(&mut world, 0, Some((2, 7)), 1);
    slides_wish(&mut world, 0);
    world.run(ms(500));
    assert_eq!(layers(&mut world, 21).map(|layer| layer.spatial), Some(0));
    assert!(layers(&mut world, 40).is_some());
    assert_decodable(inbound(&world, 0));
}

#[test]
fn audio_has_no_layers_to_choose() {
    let mut world = World::pair();
    world.publish(0, 10, TrackConfig::audio(1_000));
    world.subscribe(1, 21, 10, MediaKind::Audio, 7_000);
    wish(&mut world, 0, None, 0);
    world.run(ms(500));
    assert_eq!(world.failures(), ["set_consumer_layers: audio has no layers"]);
    assert!(world.endpoints[1].client.media.inbound[&7_000].got.len() > 20);
}

#[test]
fn timestamps_follow_the_lens_and_not_the_network() {
    let mut world = simulcast(3, 1, 1);
    world.run(ms(2_500));
    let jitter = NetemConfig { jitter: ms(12), ..good_network() };
    world.set_network(0, jitter, good_network());
    for step in 0..20 {
        wish(&mut world, 0, Some(([0, 2, 1][step % 3], 7)), 0);
        world.run(ms(613));
    }
    settle(&mut world);
    let inbound = inbound(&world, 0);
    let frames = frames(inbound);
    let mut switches = 0;
    // A picture taken before the last one of the other encoding lies a tick after it; nothing
    // of that adds up.
    let mut ahead = Vec::new();
    for pair in frames.windows(2) {
        switches += u32::from(pair[0][0].ssrc_of_publisher != pair[1][0].ssrc_of_publisher);
        let ticks = pair[1][0].timestamp.wrapping_sub(frames[0][0].timestamp) as f64;
        let taken = (pair[1][0].captured - frames[0][0].captured).as_secs_f64();
        ahead.push(ticks / 90.0 - taken * 1_000.0);
    }
    assert!(switches >= 20, "{switches}");
    assert!(ahead.iter().all(|ahead| (-1.0..81.0).contains(ahead)), "{ahead:?}");
    let exact = ahead.iter().filter(|ahead| ahead.abs() < 1.0).count();
    assert!(exact > ahead.len() / 3, "{exact} of {}", ahead.len());
}
