//! What a recorder is given of a call.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use media_core::api::Command;
use media_core::capture::{CaptureId, CaptureSink, Captured, How, Mark};
use media_core::netem::{Loss, NetemConfig};
use media_core::rtp::RtpHeader;
use support::media::TrackConfig;
use support::simulcast::{PRODUCER, demands, simulcast, wish};
use support::{World, good_network};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[derive(Debug, Clone, PartialEq)]
struct Taken {
    at: Instant,
    encoding: u8,
    ext_seq: u64,
    how: How,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Tape {
    packets: BTreeMap<CaptureId, Vec<Taken>>,
    marks: Vec<(CaptureId, Mark)>,
}

struct Sink(Arc<Mutex<Tape>>);

impl CaptureSink for Sink {
    fn packet(&mut self, at: Instant, packet: &Captured<'_>) {
        let taken = Taken {
            at,
            encoding: packet.encoding,
            ext_seq: packet.ext_seq,
            how: packet.how,
            bytes: [packet.head, packet.payload].concat(),
        };
        self.0.lock().unwrap().packets.entry(packet.capture).or_default().push(taken);
    }

    fn mark(&mut self, _: Instant, capture: CaptureId, mark: Mark) {
        self.0.lock().unwrap().marks.push((capture, mark));
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}
}

fn record(world: &mut World, producer: u64, capture: u64) -> Arc<Mutex<Tape>> {
    let tape = Arc::<Mutex<Tape>>::default();
    world.plane.set_capture(Box::new(Sink(Arc::clone(&tape))));
    world.execute(Command::SetCapture { producer, capture: Some(capture) });
    assert_eq!(world.failures(), Vec::<String>::new());
    tape
}

/// Numbers that are missing between the first and the last; every packet may come once only.
fn missing(taken: &[Taken]) -> Vec<u64> {
    let mut numbers: Vec<u64> = taken.iter().map(|packet| packet.ext_seq).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "a packet came twice");
    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
    (first..=last).filter(|number| numbers.binary_search(number).is_err()).collect()
}

fn kinds(tape: &Tape) -> Vec<Mark> {
    let is_event = |mark: &&Mark| !matches!(mark, Mark::Report { .. });
    tape.marks.iter().map(|(_, mark)| mark).filter(is_event).copied().collect()
}

#[test]
fn everything_published_is_captured_once_although_a_third_is_lost() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    let tape = record(&mut world, 11, 5);
    world.run(s(1));
    let lossy = NetemConfig { loss: Loss::Random(0.3), ..good_network() };
    world.set_network(0, lossy, good_network());
    world.run(s(8));
    world.set_network(0, good_network(), good_network());
    world.run(s(3));
    let tape = tape.lock().unwrap();
    let taken = &tape.packets[&5];
    assert_eq!(missing(taken), Vec::<u64>::new());
    assert!(taken.iter().filter(|packet| packet.how == How::Retransmitted).count() > 100);
    for packet in taken {
        let header = RtpHeader::parse(&packet.bytes).unwrap();
        assert_eq!((header.ssrc, header.sequence_number.0), (2_000, packet.ext_seq as u16));
        assert!(!header.payload(&packet.bytes).is_empty());
    }
    assert!(taken.windows(2).all(|pair| pair[0].at <= pair[1].at), "in the order of arrival");
    assert!(tape.marks.iter().any(|(_, mark)| matches!(mark, Mark::Report { .. })));
    assert_eq!(kinds(&tape), [Mark::Begin]);
}

#[test]
fn a_recording_asks_longer_than_a_player() {
    // Nothing at all arrives for two and a half seconds: players give up after one.
    for (captured, complete) in [(false, false), (true, true)] {
        let mut world = World::pair();
        world.publish(0, 11, TrackConfig::video(2_000, 2_001));
        let tape = record(&mut world, 11, 5);
        if !captured {
            world.execute(Command::SetCapture { producer: 11, capture: None });
        }
        world.run(s(2));
        world.set_network(
            0,
            NetemConfig { loss: Loss::Random(0.75), ..good_network() },
            NetemConfig { loss: Loss::Random(0.75), ..good_network() },
        );
        world.run(Duration::from_millis(2_500));
        world.set_network(0, good_network(), good_network());
        world.run(s(5));
        let producer = &world.snapshot().producers[0];
        assert_eq!(producer.lost == 0, complete, "captured {captured}: {} lost", producer.lost);
        if captured {
            assert_eq!(missing(&tape.lock().unwrap().packets[&5]), Vec::<u64>::new());
        }
    }
}

#[test]
fn what_is_said_while_muted_is_not_captured() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::audio(1_000));
    let tape = record(&mut world, 11, 5);
    world.run(s(2));
    world.execute(Command::SetProducerPaused { producer: 11, paused: true });
    let before = tape.lock().unwrap().packets[&5].len();
    world.run(s(2));
    assert_eq!(tape.lock().unwrap().packets[&5].len(), before);
    world.execute(Command::SetProducerPaused { producer: 11, paused: false });
    world.run(s(2));
    assert!(tape.lock().unwrap().packets[&5].len() > before + 80);
    world.execute(Command::PauseCapture { producer: 11, paused: true });
    let paused = tape.lock().unwrap().packets[&5].len();
    world.run(s(1));
    assert_eq!(tape.lock().unwrap().packets[&5].len(), paused);
    world.execute(Command::PauseCapture { producer: 11, paused: false });
    world.run(s(1));
    world.execute(Command::RemoveProducer { producer: 11 });
    world.execute(Command::CloseCapture { capture: 5 });
    let tape = tape.lock().unwrap();
    assert!(tape.packets[&5].len() > paused + 40);
    let expected = [
        Mark::Begin,
        Mark::Pause,
        Mark::Resume,
        Mark::Pause,
        Mark::Resume,
        Mark::Stop,
        Mark::Close,
    ];
    assert_eq!(kinds(&tape), expected);
}

#[test]
fn a_captured_track_counts_as_demand_for_its_best_picture() {
    let mut world = simulcast(3, 1, 1);
    wish(&mut world, 0, Some((0, 7)), 0);
    let tape = record(&mut world, PRODUCER, 5);
    world.run(s(6));
    let told = demands(&world);
    let last = told.last().expect("the middle one is of no use to anybody");
    assert_eq!(last, &[true, false, true], "{told:?}");
    let encodings = |tape: &Tape| -> Vec<u8> {
        let mut found: Vec<u8> = tape.packets[&5].iter().map(|packet| packet.encoding).collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    assert!(encodings(&tape.lock().unwrap()).contains(&2));
    world.execute(Command::SetCapture { producer: PRODUCER, capture: None });
    world.run(s(6));
    assert_eq!(demands(&world).last().unwrap(), &[true, false, false]);
}

#[test]
fn without_a_recorder_nothing_can_be_captured() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::audio(1_000));
    world.execute(Command::SetCapture { producer: 11, capture: Some(1) });
    world.execute(Command::CloseCapture { capture: 1 });
    world.run(s(1));
    assert_eq!(world.failures().len(), 2);
}
