//! What analytics are given of a call.

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use media_core::api::{Codec, Command, Layer};
use media_core::netem::{Loss, NetemConfig};
use media_core::rtp::RtpHeader;
use media_core::tap::{TapSink, TapWish, Tapped};
use support::media::TrackConfig;
use support::simulcast::{PRODUCER, SlowPublisher, demands, follow_demand, simulcast, wish};
use support::{World, good_network};

const TAP: u64 = 7;
const MOMENT: Duration = Duration::from_millis(1);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[derive(Debug, Clone)]
struct Taken {
    at: Instant,
    codec: Codec,
    encoding: u8,
    ext_seq: u64,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Tape {
    taken: Vec<Taken>,
    /// The sink says so with the next packet.
    has_lost: bool,
}

struct Sink(Arc<Mutex<Tape>>);

impl TapSink for Sink {
    fn packet(&mut self, at: Instant, packet: &Tapped<'_>) -> bool {
        assert_eq!((packet.tap, packet.zero_ns), (TAP, 5));
        let bytes = [packet.head, packet.payload].concat();
        let Tapped { codec, encoding, ext_seq, .. } = *packet;
        let mut tape = self.0.lock().unwrap();
        tape.taken.push(Taken { at, codec, encoding, ext_seq, bytes });
        std::mem::take(&mut tape.has_lost)
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}
}

fn layer(spatial: u8, temporal: u8) -> Option<TapWish> {
    Some(TapWish { tap: TAP, layer: Layer { spatial, temporal }, zero_ns: 5 })
}

fn tap(world: &mut World, producer: u64, wish: Option<TapWish>) -> Arc<Mutex<Tape>> {
    let tape = Arc::<Mutex<Tape>>::default();
    world.plane.set_tap(Box::new(Sink(Arc::clone(&tape))));
    world.execute(Command::SetTap { producer, wish });
    world.run(MOMENT);
    assert_eq!(world.failures(), Vec::<String>::new());
    tape
}

/// Numbers that neither came nor were told to be left out; each may come once only.
fn missing(taken: &[Taken]) -> Vec<u64> {
    let numbers: BTreeSet<u64> = taken.iter().map(|packet| packet.ext_seq).collect();
    assert_eq!(numbers.len(), taken.len(), "a packet came twice");
    let (first, last) = (*numbers.first().unwrap(), *numbers.last().unwrap());
    (first..=last).filter(|number| !numbers.contains(number)).collect()
}

fn pictures(taken: &[Taken]) -> Vec<&Taken> {
    taken.iter().filter(|packet| !packet.bytes.is_empty()).collect()
}

fn keyframes(taken: &[Taken]) -> usize {
    let starts = |packet: &&&Taken| {
        let header = RtpHeader::parse(&packet.bytes).unwrap();
        media_core::codec::inspect(packet.codec, header.payload(&packet.bytes)).keyframe_start
    };
    pictures(taken).iter().filter(starts).count()
}

#[test]
fn a_tap_gets_the_lowest_layer_whole_although_a_third_is_lost_and_nobody_else_watches() {
    let mut world = simulcast(3, 3, 0);
    let tape = tap(&mut world, PRODUCER, layer(0, 0));
    world.run(s(1));
    let lossy = NetemConfig { loss: Loss::Random(0.3), ..good_network() };
    world.set_network(0, lossy, good_network());
    world.run(s(6));
    world.set_network(0, good_network(), good_network());
    world.run(s(2));
    let tape = tape.lock().unwrap();
    let taken = &tape.taken;
    assert!(taken.iter().all(|packet| packet.encoding == 0 && packet.codec == Codec::Vp8));
    assert_eq!(missing(taken), Vec::<u64>::new());
    let pictures = pictures(taken);
    // One in four pictures is of the base layer; each is one packet.
    assert!(pictures.len() * 3 < taken.len() && pictures.len() > 40, "{}", pictures.len());
    for packet in pictures {
        let header = RtpHeader::parse(&packet.bytes).unwrap();
        assert_eq!((header.ssrc, header.sequence_number.0), (2_000, packet.ext_seq as u16));
        let info = media_core::codec::inspect(packet.codec, header.payload(&packet.bytes));
        assert_eq!(info.temporal_layer, Some(0));
    }
    assert!(taken.windows(2).all(|pair| pair[0].at <= pair[1].at), "in the order of arrival");
}

#[test]
fn what_is_tapped_counts_as_wanted_until_it_is_no_longer() {
    let mut world = simulcast(3, 1, 1);
    wish(&mut world, 0, Some((2, 7)), 0);
    world.run(s(4));
    assert_eq!(demands(&world).last().unwrap(), &[false, false, true]);
    let tape = tap(&mut world, PRODUCER, layer(1, 0));
    let wanted = demands(&world).last().unwrap().clone();
    assert_eq!(wanted, [false, true, true]);
    follow_demand(&mut world, &wanted);
    world.run(s(3));
    assert_eq!(pictures(&tape.lock().unwrap().taken).last().unwrap().encoding, 1);
    world.execute(Command::SetTap { producer: PRODUCER, wish: None });
    let so_far = tape.lock().unwrap().taken.len();
    world.run(s(4));
    assert_eq!(demands(&world).last().unwrap(), &[false, false, true]);
    assert_eq!(tape.lock().unwrap().taken.len(), so_far);
}

#[test]
fn an_encoding_that_ends_is_replaced_and_taken_again_from_a_keyframe() {
    let mut world = simulcast(3, 1, 0);
    let tape = tap(&mut world, PRODUCER, layer(1, 0));
    let mut publisher = SlowPublisher::default();
    for _ in 0..20 {
        publisher.follow(&mut world);
        world.run(s(1) / 10);
    }
    // Its link is too narrow for more than the smallest for a while.
    follow_demand(&mut world, &[true, false, false]);
    world.run(s(4));
    let narrow = tape.lock().unwrap().taken.len();
    assert_eq!(tape.lock().unwrap().taken[narrow - 1].encoding, 0);
    follow_demand(&mut world, &[true, true, false]);
    world.run(s(3));
    let tape = tape.lock().unwrap();
    let (last, rest) = tape.taken.split_last().unwrap();
    assert_eq!(last.encoding, 1);
    let from = rest.iter().rposition(|packet| packet.encoding == 0).unwrap() + 1;
    assert!(keyframes(&tape.taken[from..]) > 0);
    let second: Vec<Taken> = tape.taken[from..].to_vec();
    assert_eq!(missing(&second), Vec::<u64>::new());
}

#[test]
fn what_the_sink_lost_is_followed_by_a_keyframe() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    let tape = tap(&mut world, 11, layer(0, 7));
    world.run(s(3));
    let (before, from) = {
        let mut tape = tape.lock().unwrap();
        tape.has_lost = true;
        (keyframes(&tape.taken), tape.taken.len())
    };
    world.run(s(2));
    let tape = tape.lock().unwrap();
    assert!(before > 0);
    assert_eq!(keyframes(&tape.taken[from..]), 1);
}

#[test]
fn sound_comes_once_and_nothing_of_it_while_it_is_muted() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::audio(1_000));
    let tape = tap(&mut world, 11, layer(0, 7));
    world.run(s(2));
    world.execute(Command::SetProducerPaused { producer: 11, paused: true });
    let so_far = tape.lock().unwrap().taken.len();
    world.run(s(2));
    let tape = tape.lock().unwrap();
    assert_eq!(tape.taken.len(), so_far, "nothing of a muted track");
    assert_eq!(missing(&tape.taken), Vec::<u64>::new());
    assert!(so_far > 90, "{so_far}");
}

#[test]
fn nothing_can_be_tapped_where_nobody_takes_it() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::audio(1_000));
    world.execute(Command::SetTap { producer: 11, wish: layer(0, 0) });
    world.run(MOMENT);
    assert_eq!(world.failures().len(), 1);
    world.execute(Command::SetTap { producer: 99, wish: layer(0, 0) });
    world.run(MOMENT);
    assert_eq!(world.failures().len(), 2);
}
