//! A network that carries nothing for a while, and what both sides do when it is back.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use media_core::api::{MediaKind, TransportState};
use media_core::netem::{Loss, NetemConfig};
use media_core::{DropReason, PlaneConfig, Protocol};
use support::client::ClientConfig;
use support::media::TrackConfig;
use support::{Datagram, World, good_network, test_config};

/// When Chromium gives a path up that is silent.
const BROWSER_PATIENCE: Duration = Duration::from_secs(15);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const VOICE: u32 = 7_000;
const PICTURE: u32 = 7_100;

/// Two who hear and see each other; the second gives up as a browser does.
fn call() -> World {
    call_with(test_config())
}

fn call_with(config: PlaneConfig) -> World {
    let mut world = World::with_config(config);
    for address in ["198.51.100.1:5001", "198.51.100.2:5002"] {
        let index = world.join(1, ClientConfig::at(address));
        world.client(index).gives_up_after = Some(BROWSER_PATIENCE);
    }
    world.connect();
    for index in [0, 1] {
        let (id, ssrc) = (10 * (index as u64 + 1), 1_000 * (index as u32 + 1));
        world.publish(index, id, TrackConfig::audio(ssrc));
        world.publish(index, id + 1, TrackConfig::video(ssrc + 1, ssrc + 2));
        world.subscribe(1 - index, 100 + id, id, MediaKind::Audio, VOICE);
        world.subscribe(1 - index, 101 + id, id + 1, MediaKind::Video, PICTURE);
    }
    world.run(s(3));
    world
}

/// Nothing passes between the second participant and the plane.
fn cut(world: &mut World, is_cut: bool) {
    let loss = if is_cut { Loss::Random(1.0) } else { good_network().loss };
    let network = NetemConfig { loss, ..good_network() };
    world.set_network(1, network, network);
}

fn got(world: &mut World, index: usize, ssrc: u32) -> usize {
    world.client(index).media.inbound[&ssrc].got.len()
}

fn bytes_out(world: &mut World) -> u64 {
    world.snapshot().transports.iter().find(|t| t.transport == 101).unwrap().bytes_out
}

/// Time until more of every stream arrives at both ends than was under way.
fn back_after(world: &mut World) -> Duration {
    let (began, more) = (world.now, 5);
    let ends = [(0, VOICE), (0, PICTURE), (1, VOICE), (1, PICTURE)];
    let before = ends.map(|(index, ssrc)| got(world, index, ssrc));
    world.run_while(s(60), |world| {
        ends.iter().zip(before).any(|((index, ssrc), before)| {
            world.endpoints[*index].client.media.inbound[ssrc].got.len() < before + more
        })
    });
    world.now - began
}

#[test]
fn media_flows_within_a_second_of_the_end_of_an_outage_of_half_a_minute() {
    for seconds in [8, 20, 30, 35, 60, 110] {
        let mut world = call();
        cut(&mut world, true);
        world.run(s(seconds));
        assert_eq!(world.states(1).last(), Some(&TransportState::Disconnected));
        cut(&mut world, false);
        let back = back_after(&mut world);
        assert!(back < ms(1_000), "after {seconds} s: {back:?}");
        assert_eq!(world.states(1).last(), Some(&TransportState::Connected));
        assert!(!world.states(1).contains(&TransportState::Failed));
        if seconds > 15 {
            assert!(world.client(1).questions > 0, "it had given up");
        }
    }
}

#[test]
fn without_consent_nothing_is_sent_but_questions() {
    let mut world = call();
    cut(&mut world, true);
    world.run(s(29));
    let refused = world.dropped(DropReason::NoConsent);
    assert_eq!(refused, 0, "half a minute is allowed");
    world.run(s(2));
    let (before, at) = (bytes_out(&mut world), world.dropped(DropReason::NoConsent));
    world.run(s(60));
    let sent = bytes_out(&mut world) - before;
    assert!((5 * 60 * 60..5 * 60 * 130).contains(&sent), "five questions a second: {sent} bytes");
    assert!(world.dropped(DropReason::NoConsent) > at, "media is dropped and counted");
}

#[test]
fn whoever_never_comes_back_is_given_up_after_two_minutes() {
    let mut world = call();
    world.client(1).alive = false;
    world.run(s(119));
    assert_eq!(world.states(1).last(), Some(&TransportState::Disconnected));
    world.run(s(2));
    assert_eq!(world.states(1).last(), Some(&TransportState::Failed));
    let before = bytes_out(&mut world);
    world.run(s(5));
    assert_eq!(bytes_out(&mut world), before, "nobody is asked any more");
}

#[test]
fn only_the_first_answer_from_the_right_place_brings_a_silent_side_back() {
    let mut world = call();
    world.tap = true;
    let at = world.client(1).remote();
    // It answers, and does nothing else.
    world.client(1).gives_up_after = Some(Duration::ZERO);
    world.run(s(8));
    let is_answer = |datagram: &Datagram| datagram.bytes.starts_with(&[1, 1]);
    let answers: Vec<Datagram> = world.tapped.iter().filter(|d| is_answer(d)).cloned().collect();
    assert!(!answers.is_empty() && answers.iter().all(|answer| answer.from == at));
    assert_eq!(world.states(1).last(), Some(&TransportState::Connected), "an answer is life");
    cut(&mut world, true);
    world.run(s(8));
    assert_eq!(world.states(1).last(), Some(&TransportState::Disconnected));
    let before = world.dropped(DropReason::StunReplay);
    let mut forged = answers[0].clone();
    *forged.bytes.last_mut().unwrap() ^= 1;
    world.deliver(forged);
    for answer in &answers {
        world.deliver(answer.clone());
        let from = "203.0.113.66:1".parse::<SocketAddr>().unwrap().into();
        world.deliver(Datagram { from, ..answer.clone() });
    }
    assert_eq!(world.dropped(DropReason::StunReplay) - before, answers.len() as u64);
    assert_eq!(world.states(1).last(), Some(&TransportState::Disconnected));
}

#[test]
fn nobody_is_asked_over_tcp() {
    let mut world = call();
    let now = world.now;
    world.client(1).move_to("198.51.100.2:6001", now);
    world.client(1).protocol = Protocol::Tcp;
    world.run(s(1));
    cut(&mut world, true);
    world.run(s(31));
    let before = bytes_out(&mut world);
    world.run(s(20));
    assert_eq!(bytes_out(&mut world), before, "it would wait in the connection");
    cut(&mut world, false);
    let now = world.now;
    world.client(1).gives_up_after = None;
    world.client(1).move_to("198.51.100.2:6001", now);
    assert!(back_after(&mut world) < ms(1_000));
}
