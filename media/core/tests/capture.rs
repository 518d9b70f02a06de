//! What a recorder is given of a call.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use media_core::api::Command;
use media_core::capture::{CaptureId, CaptureSink, Captured, How, Mark};
use media_core::netem::{Loss, NetemConfig};
use media_core::rtp::{OutgoingHeader, RtpHeader};
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
    let is_event = |mark: &&Mark| !matches!(mark, Mark::Report { .. } | Mark::Empty { .. });
    tape.marks.iter().map(|(_, mark)| mark).filter(is_event).copied().collect()
}

/// Numbers that were told to have nothing to record.
fn empty(tape: &Tape) -> Vec<u64> {
    let number = |mark: &Mark| match mark {
        Mark::Empty { ext_seq, .. } => Some(*ext_seq),
        _ => None,
    };
    tape.marks.iter().filter_map(|(_, mark)| number(mark)).collect()
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

/// Packets of padding alone, as some browsers probe with.
fn send_padding(world: &mut World) {
    let client = world.client(0);
    let track = &mut client.media.tracks[0];
    let header = OutgoingHeader {
        marker: false,
        payload_type: track.config.payload_type,
        sequence_number: track.next,
        timestamp: 0,
        ssrc: track.config.ssrc,
    };
    track.next = track.next.next();
    let mut padding = vec![0; 100];
    padding[99] = 100;
    let (header_len, mut packet) = support::media::assemble(&header, &Default::default(), &padding);
    packet[0] |= 0x20;
    client.send_rtp(header_len, packet);
}

#[test]
fn padding_is_told_as_numbers_that_do_not_come() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    let tape = record(&mut world, 11, 5);
    world.run(s(2));
    for _ in 0..5 {
        send_padding(&mut world);
        world.run(Duration::from_millis(100));
    }
    world.run(s(1));
    let tape = tape.lock().unwrap();
    assert_eq!(missing(&tape.packets[&5]).len(), 5);
    assert_eq!(missing(&tape.packets[&5]), empty(&tape));
}

#[test]
fn what_was_sent_in_a_pause_stays_out_and_what_was_sent_before_it_gets_in() {
    let tracks = [(TrackConfig::video(2_000, 2_001), true), (TrackConfig::audio(1_000), false)];
    for (track, is_repaired) in tracks {
        for muted in [false, true] {
            let pause = |paused| match muted {
                true => Command::SetProducerPaused { producer: 11, paused },
                false => Command::PauseCapture { producer: 11, paused },
            };
            let mut world = World::pair();
            world.publish(0, 11, track.clone());
            let tape = record(&mut world, 11, 5);
            world.run(s(2));
            let lossy = NetemConfig { loss: Loss::Random(0.6), ..good_network() };
            world.set_network(0, lossy, lossy);
            world.run(s(1));
            let first = world.client(0).media.tracks[0].next.0;
            world.execute(pause(true));
            world.set_network(0, good_network(), good_network());
            world.run(s(2));
            world.set_network(0, lossy, lossy);
            world.run(s(2));
            let next = world.client(0).media.tracks[0].next.0;
            // What was under way has arrived.
            world.run(Duration::from_millis(100));
            world.execute(pause(false));
            world.set_network(0, good_network(), good_network());
            world.run(s(5));
            let tape = tape.lock().unwrap();
            let is_within = |number: &u64| *number as u16 >= first && (*number as u16) < next;
            let numbers: Vec<u64> = tape.packets[&5].iter().map(|taken| taken.ext_seq).collect();
            let inside = numbers.iter().filter(|number| is_within(number)).count();
            // What was under way when the pause began had been sent before.
            assert!(inside <= 3, "{inside} of the pause were taken");
            let before = missing(&tape.packets[&5]);
            let lost = before.iter().filter(|number| (**number as u16) < first).count();
            assert!(
                lost <= 10 || !is_repaired,
                "{lost} of before the pause are missing: {before:?}"
            );
        }
    }
}

#[test]
fn what_was_sent_before_the_recording_began_is_not_in_it() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.run(s(2));
    let lossy = NetemConfig { loss: Loss::Random(0.75), ..good_network() };
    world.set_network(0, lossy, lossy);
    world.run(s(1));
    let next = world.client(0).media.tracks[0].next.0;
    let tape = record(&mut world, 11, 5);
    world.set_network(0, good_network(), good_network());
    world.run(s(3));
    let tape = tape.lock().unwrap();
    let oldest = tape.packets[&5].iter().map(|taken| taken.ext_seq as u16).min();
    assert!(oldest >= Some(next - 1), "{oldest:?} is in it, {next} was the next");
}
