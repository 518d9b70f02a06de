//! Audio over paths that lose packets: copies, requests, and how long playout has to wait.
//! `cargo test -p witness-media-core --test audio_protection -- --nocapture` prints what came out.

mod support;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_core::api::{CodecParameters, Command, Event, ExtensionId, ExtensionKind, MediaKind};
use media_core::netem::{Loss, NetemConfig};
use media_core::{DropReason, PlaneConfig, Stage};
use support::client::ClientConfig;
use support::media::{SUBSCRIBER_RED, TrackConfig};
use support::{World, consumer_parameters, opus, producer_parameters, test_config};

const PUBLISHER: usize = 0;
const SUBSCRIBER: usize = 1;
const SSRC: u32 = 7_000;
const PUBLISHER_RED: u8 = 63;
/// What a player waits for anyway.
const PLAYER: Duration = Duration::from_millis(60);
/// From a wish of the server to the publisher doing it.
const SIGNALING: Duration = Duration::from_millis(100);

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn path(loss: Loss) -> NetemConfig {
    NetemConfig { loss, delay: ms(20), ..NetemConfig::default() }
}

fn random(probability: f64) -> Loss {
    Loss::Random(probability)
}

fn bursts(ratio: f64, mean: f64) -> Loss {
    let to_good = 1.0 / mean;
    Loss::GilbertElliott { to_bad: to_good * ratio / (1.0 - ratio), to_good, good: 0.0, bad: 1.0 }
}

fn with_red(codec: CodecParameters, payload_type: u8) -> CodecParameters {
    CodecParameters { red_payload_type: Some(payload_type), ..codec }
}

/// What the two sides of a call can do.
#[derive(Debug, Clone, Copy)]
struct Abilities {
    red_up: bool,
    red_down: bool,
    nack: bool,
}

const ALL: Abilities = Abilities { red_up: true, red_down: true, nack: true };

/// A publisher who does what the server wishes, and a subscriber who waits as it is told.
struct Call {
    world: World,
    abilities: Abilities,
    wishes: VecDeque<(Instant, Vec<u8>, Option<u32>)>,
    /// Since when playout is held back, and for how long.
    delays: Vec<(Instant, Duration)>,
    told: Vec<Event>,
    started: Instant,
}

impl Call {
    fn new(abilities: Abilities) -> Call {
        let config = PlaneConfig { consent_timeout: s(60), ..test_config() };
        let mut world = World::with_config(config);
        for address in ["198.51.100.1:5001", "198.51.100.2:5002"] {
            let mut client = ClientConfig::at(address);
            // Clients can't send a packet again with GCM.
            client.profiles.truncate(1);
            world.join(1, client);
        }
        let ids = [(ExtensionKind::Mid, 9), (ExtensionKind::TransportCc, 5)];
        let ids = ids.map(|(kind, id)| ExtensionId { kind, id });
        world.set_extensions(SUBSCRIBER, &ids);
        world.connect();
        let client = world.client(SUBSCRIBER);
        client.tolerates_replays = true;
        client.media.set_extensions(&ids);
        client.media.twcc =
            Some((media_core::twcc::TwccRecorder::new(ms(100)), Default::default()));
        client.media.sends_nacks = abilities.nack;
        let mut track = TrackConfig { transport_cc: Some(3), ..TrackConfig::audio(1_000) };
        let mut parameters = producer_parameters(&track, "0");
        parameters.nack = abilities.nack;
        if abilities.red_up {
            track.red = Some(PUBLISHER_RED);
            parameters.codecs = vec![with_red(opus(111), PUBLISHER_RED)];
        }
        world.add_producer(PUBLISHER, 10, parameters);
        let now = world.now;
        world.client(PUBLISHER).media.add_track(track, now);
        let mut call = Call {
            world,
            abilities,
            wishes: VecDeque::new(),
            delays: vec![(now, Duration::ZERO)],
            told: Vec::new(),
            started: now,
        };
        call.subscribe(20, SSRC);
        call
    }

    fn subscribe(&mut self, consumer: u64, ssrc: u32) {
        let mut parameters = consumer_parameters(MediaKind::Audio, ssrc, "c");
        parameters.nack = self.abilities.nack;
        if self.abilities.red_down {
            parameters.codecs = vec![with_red(opus(109), SUBSCRIBER_RED)];
        }
        self.world.subscribe_with(SUBSCRIBER, consumer, 10, MediaKind::Audio, parameters);
    }

    fn lose(&mut self, up: Loss, down: Loss) {
        let (clean, up, down) = (path(Loss::None), path(up), path(down));
        // Requests and feedback take the way back of the same link.
        self.world.set_network(PUBLISHER, up, clean);
        self.world.set_network(SUBSCRIBER, clean, down);
    }

    fn run(&mut self, duration: Duration) {
        let end = self.world.now + duration;
        while self.world.now < end {
            self.world.run(ms(10));
            let now = self.world.now;
            for event in std::mem::take(&mut self.world.events) {
                match &event {
                    Event::AudioProtection { offsets, bitrate_bps, .. } => {
                        self.wishes.push_back((now + SIGNALING, offsets.clone(), *bitrate_bps));
                    }
                    Event::PlayoutDelay { consumer: 20, delay_ms } => {
                        self.delays.push((now, ms(u64::from(*delay_ms))));
                    }
                    _ => {}
                }
                self.told.push(event);
            }
            while self.wishes.front().is_some_and(|(at, ..)| *at <= now) {
                let (_, offsets, bitrate_bps) = self.wishes.pop_front().unwrap();
                let track = &mut self.world.client(PUBLISHER).media.tracks[0];
                track.offsets = offsets;
                track.config.payload_len = bitrate_bps.map_or(80, |bps| bps as usize / 400);
            }
        }
    }

    /// Share of the frames between two times after the start that were not there to be played.
    fn concealed(&self, from: Duration, to: Duration) -> f64 {
        let inbound = &self.world.endpoints[SUBSCRIBER].client.media.inbound[&SSRC];
        let serials = from.as_millis() as u64 / 20..to.as_millis() as u64 / 20;
        let total = serials.end - serials.start;
        let lost = serials.filter(|serial| {
            let captured = self.started + ms(serial * 20);
            // Playout stretches slowly: what counts is the delay that was told when it was sent.
            let held = self.delays.iter().rev().find(|(at, _)| *at <= captured);
            let due =
                captured + ms(40) + held.map_or(Duration::ZERO, |(_, held)| *held).max(PLAYER);
            inbound.frames.get(serial).is_none_or(|(at, _)| *at > due)
        });
        lost.count() as f64 / total as f64
    }

    fn delay(&self) -> Duration {
        self.delays.last().unwrap().1
    }
}

/// Bits per second up and down over a stretch.
struct Rates {
    up: u64,
    down: u64,
    at: Instant,
}

impl Rates {
    fn start(call: &mut Call) -> Rates {
        let up = call.world.client(PUBLISHER).media.tracks[0].bytes_sent;
        let down = call.world.snapshot().transports[SUBSCRIBER].bytes_out;
        let down = down + 28 * call.world.endpoints[SUBSCRIBER].down.counters().pushed;
        Rates { up, down, at: call.world.now }
    }

    fn end(self, call: &mut Call) -> (f64, f64) {
        let now = Rates::start(call);
        let seconds = (now.at - self.at).as_secs_f64();
        let kbps = |from: u64, to: u64| (to - from) as f64 * 8.0 / 1e3 / seconds;
        (kbps(self.up, now.up), kbps(self.down, now.down))
    }
}

#[test]
fn speech_gets_through_whatever_the_path_loses() {
    let none = Loss::None;
    let table = [
        ("0 %", none, none, 0.0, 70),
        ("10 % down", none, random(0.1), 0.003, 200),
        ("10 % up", random(0.1), none, 0.003, 200),
        ("30 % down", none, random(0.3), 0.003, 250),
        ("30 % up", random(0.3), none, 0.003, 250),
        ("30 % both", random(0.3), random(0.3), 0.006, 300),
        ("50 % down", none, random(0.5), 0.005, 350),
        ("50 % up", random(0.5), none, 0.005, 350),
        ("50 % both", random(0.5), random(0.5), 0.01, 400),
        ("70 % down", none, random(0.7), 0.015, 450),
        ("70 % up", random(0.7), none, 0.015, 450),
        ("70 % both", random(0.7), random(0.7), 0.04, 550),
        ("bursts of 8, 50 % down", none, bursts(0.5, 8.0), 0.05, 500),
        ("bursts of 8, 50 % up", bursts(0.5, 8.0), none, 0.05, 500),
    ];
    for (what, up, down, most, delay_ms) in table {
        let mut call = Call::new(ALL);
        call.lose(up, down);
        call.run(s(5));
        let rates = Rates::start(&mut call);
        call.run(s(60));
        let (up_kbps, down_kbps) = rates.end(&mut call);
        call.run(s(1));
        let concealed = call.concealed(s(5), s(65));
        let delay = call.delay();
        let counters = call.world.snapshot().counters;
        println!(
            "{what}: concealed {:.2} %, {up_kbps:.0} kb/s up, {down_kbps:.0} kb/s down, {delay:?}, \
             offsets {:?}, copies {:?}, nack out {} in {}, resent {} spared {}",
            concealed * 100.0,
            call.world.client(PUBLISHER).media.tracks[0].offsets,
            counters.audio_copies_out,
            counters.nack_sent,
            counters.nack_received,
            counters.retransmissions_out,
            counters.ledger.dropped(Stage::Nack, DropReason::CopySent),
        );
        let inbound = &call.world.client(SUBSCRIBER).media.inbound[&SSRC];
        assert_eq!(inbound.misdated, 0, "{what}");
        assert!(inbound.longest_payload <= 1_000, "{what}");
        assert!(concealed <= most, "{what}: {concealed}");
        assert!(up_kbps <= 450.0 && down_kbps <= 450.0, "{what}: {up_kbps} {down_kbps}");
        assert!(delay <= ms(delay_ms), "{what}: {delay:?}");
    }
}

#[test]
fn who_does_not_take_red_gets_recovered_frames_as_packets() {
    let abilities = Abilities { red_down: false, ..ALL };
    let mut call = Call::new(abilities);
    call.lose(random(0.5), Loss::None);
    call.run(s(30));
    let concealed = call.concealed(s(5), s(29));
    assert!(concealed < 0.005, "{concealed}");
    let snapshot = call.world.snapshot();
    let (counters, producer) = (&snapshot.counters, &snapshot.producers[0]);
    assert!(counters.audio_frames_recovered > 500, "{}", counters.audio_frames_recovered);
    assert!(producer.repaired >= counters.audio_frames_recovered);
    // Loss before repair and after it are different numbers.
    assert!((producer.loss_ratio - 0.5).abs() < 0.25, "{}", producer.loss_ratio);
    assert!(producer.lost * 50 < producer.packets, "{} of {}", producer.lost, producer.packets);
    let inbound = &call.world.client(SUBSCRIBER).media.inbound[&SSRC];
    assert!(inbound.got.values().all(|got| got.payload_type == 109));
    assert_eq!((inbound.misdated, inbound.by_copy), (0, 0));
}

#[test]
fn who_sends_plain_opus_is_protected_on_the_way_down() {
    let mut call = Call::new(Abilities { red_up: false, ..ALL });
    call.lose(Loss::None, random(0.5));
    call.run(s(30));
    assert!(call.concealed(s(5), s(29)) < 0.005);
    let wishes = call.told.iter().filter_map(|event| match event {
        Event::AudioProtection { offsets, .. } => Some(offsets.len()),
        _ => None,
    });
    assert_eq!(wishes.max().unwrap_or(0), 0, "nobody asks for RED who was not offered it");
}

#[test]
fn requests_alone_repair_what_they_can() {
    let plain = Abilities { red_up: false, red_down: false, nack: true };
    for (up, down) in [(random(0.2), Loss::None), (Loss::None, random(0.2))] {
        let mut call = Call::new(plain);
        call.lose(up, down);
        call.run(s(30));
        let concealed = call.concealed(s(5), s(29));
        assert!(concealed < 0.01, "{concealed}");
    }
}

#[test]
fn nothing_is_spent_while_nothing_is_lost() {
    let kbps = |abilities: Abilities| {
        let mut call = Call::new(abilities);
        call.run(s(5));
        let rates = Rates::start(&mut call);
        call.run(s(20));
        assert!(!call.told.iter().any(|event| {
            matches!(event, Event::AudioProtection { .. } | Event::PlayoutDelay { .. })
        }));
        rates.end(&mut call)
    };
    let with = kbps(ALL);
    let without = kbps(Abilities { red_up: false, red_down: false, nack: false });
    assert!(with.0 <= without.0 * 1.05, "{with:?} {without:?}");
    assert!(with.1 <= without.1 * 1.05, "{with:?} {without:?}");
}

#[test]
fn protection_rises_within_a_second_and_is_given_back() {
    let mut call = Call::new(ALL);
    call.lose(Loss::None, Loss::None);
    call.run(s(10));
    call.lose(random(0.5), random(0.5));
    call.run(s(1));
    let copies_before = call.world.snapshot().counters.audio_copies_out;
    assert!(copies_before[3..].iter().sum::<u64>() > 0, "{copies_before:?}");
    let offsets = |call: &mut Call| call.world.client(PUBLISHER).media.tracks[0].offsets.clone();
    assert!(offsets(&mut call).len() >= 3, "{:?}", offsets(&mut call));
    call.run(s(10));
    assert!(call.delay() >= ms(160));
    call.lose(Loss::None, Loss::None);
    call.run(s(3));
    assert!(!offsets(&mut call).is_empty(), "not at once");
    call.run(s(27));
    assert_eq!(offsets(&mut call), Vec::<u8>::new());
    assert_eq!(call.delay(), Duration::ZERO);
    let before = call.world.snapshot().counters.audio_copies_out;
    call.run(s(5));
    let after = call.world.snapshot().counters.audio_copies_out;
    assert_eq!(before[1..], after[1..], "plain again");
    // Neither side is told all the time.
    let told = call.told.iter().filter(|event| {
        matches!(event, Event::AudioProtection { .. } | Event::PlayoutDelay { .. })
    });
    assert!(told.count() < 40);
}

#[test]
fn a_narrow_link_is_not_filled_with_copies() {
    // At one rate alone it would be chance when the link is tried.
    let rates = [140_000, 145_000, 150_000, 155_000, 160_000];
    let mut concealed = 0.0;
    for rate_bps in rates {
        let mut call = Call::new(ALL);
        let narrow = NetemConfig { rate_bps, queue_delay: ms(500), ..path(random(0.3)) };
        call.world.set_network(SUBSCRIBER, path(Loss::None), narrow);
        call.run(s(40));
        let queueing = call.world.endpoints[SUBSCRIBER].down.queueing();
        let full = call.world.endpoints[SUBSCRIBER].down.counters().queue_full;
        let here = call.concealed(s(10), s(39));
        println!("{rate_bps} b/s: queueing {queueing:?}, dropped {full}, concealed {here:.3}");
        assert!(queueing < ms(300), "{queueing:?}");
        assert!(here < 0.20, "{here}");
        let asked = call.told.iter().filter_map(|event| match event {
            Event::AudioProtection { bitrate_bps, .. } => *bitrate_bps,
            _ => None,
        });
        assert!(asked.min().is_some_and(|bps| bps <= 24_000), "speech makes room for its copies");
        concealed += here / rates.len() as f64;
    }
    assert!(concealed < 0.10, "{concealed}");
}

#[test]
fn what_is_said_while_muted_is_not_sent_later_as_a_copy() {
    let mut call = Call::new(ALL);
    call.lose(random(0.5), random(0.5));
    call.run(s(10));
    let pause = |call: &mut Call, paused| {
        call.world.execute(Command::SetProducerPaused { producer: 10, paused });
        call.world.now - call.started
    };
    // Each time others are lost at the edges, which copies would bring.
    let mut muted = Vec::new();
    let mut to = Duration::ZERO;
    for _ in 0..20 {
        let from = pause(&mut call, true);
        call.run(ms(400));
        to = pause(&mut call, false);
        call.run(ms(600));
        // What was on its way counts by when it arrived.
        muted.extend((from.as_millis() as u64 + 60) / 20..to.as_millis() as u64 / 20 - 3);
    }
    call.run(s(5));
    let inbound = &call.world.client(SUBSCRIBER).media.inbound[&SSRC];
    muted.retain(|serial| inbound.frames.contains_key(serial));
    assert_eq!(muted, Vec::<u64>::new());
    assert_eq!(inbound.misdated, 0);
    let after = to + ms(500);
    assert!(call.concealed(after, to + s(4)) < 0.05);
}

#[test]
fn another_source_goes_on_without_copies_of_the_first() {
    let mut call = Call::new(ALL);
    call.lose(random(0.3), random(0.5));
    call.run(s(10));
    let track = TrackConfig {
        red: Some(PUBLISHER_RED),
        first_timestamp: 5,
        first: 700.into(),
        ..TrackConfig::audio(1_500)
    };
    let mut parameters = producer_parameters(&track, "1");
    parameters.codecs = vec![with_red(opus(111), PUBLISHER_RED)];
    call.world.add_producer(PUBLISHER, 11, parameters);
    let now = call.world.now;
    call.world.client(PUBLISHER).media.tracks[0].active = false;
    call.world.client(PUBLISHER).media.add_track(track, now);
    call.world.execute(Command::SetConsumerSource { consumer: 20, producer: 11 });
    call.run(s(10));
    let inbound = &call.world.client(SUBSCRIBER).media.inbound[&SSRC];
    // Numbers and times both go on, over the switch too.
    let got: Vec<_> = inbound.got.values().filter(|got| !got.is_empty).collect();
    assert!(
        got.windows(2)
            .all(|pair| { (pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32) > 0 })
    );
    assert!(got.windows(2).all(|pair| pair[1].ext_seq - pair[0].ext_seq < 40));
    let last_of_first = got.iter().rfind(|got| got.ssrc_of_publisher == 1_000).unwrap();
    let first_of_second = got.iter().find(|got| got.ssrc_of_publisher == 1_500).unwrap();
    assert!(last_of_first.ext_seq < first_of_second.ext_seq);
}

#[test]
fn what_can_not_be_read_is_not_asked_for_again() {
    let mut call = Call::new(Abilities { red_down: false, ..ALL });
    call.run(s(2));
    // Plain Opus under the payload type of RED: its first block claims another codec.
    let config = |call: &mut Call, payload_type| {
        call.world.client(PUBLISHER).media.tracks[0].config.payload_type = payload_type;
    };
    config(&mut call, PUBLISHER_RED);
    call.run(s(1));
    config(&mut call, 111);
    call.run(s(2));
    let counters = call.world.snapshot().counters;
    assert_eq!(counters.ledger.dropped(Stage::Media, DropReason::Malformed), 50);
    assert_eq!(counters.nack_sent, 0);
    assert_eq!(call.world.client(PUBLISHER).media.tracks[0].resent, 0);
}
