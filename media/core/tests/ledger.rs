//! Whatever happens, every packet is accounted for. `World` checks the equations at each snapshot
//! and at its end, in all scenarios; here is what the others leave out.

mod support;

use std::time::Duration;

use media_core::api::{Command, Layer, LayerWish, MediaKind};
use media_core::netem::{Loss, NetemConfig, Rng};
use media_core::rtcp::TwccWriter;
use media_core::twcc::TwccRecorder;
use media_core::{DropReason, PlaneConfig, Stage};
use support::client::ClientConfig;
use support::media::TrackConfig;
use support::{PUBLISHER_EXTENSIONS, World, good_network, test_config};

const ROOMS: u64 = 3;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// One participant of the torture.
struct Person {
    index: usize,
    room: u64,
    producers: Vec<(u64, MediaKind)>,
    consumers: Vec<u64>,
}

/// Commands and networks at random, with a room that panics now and then.
struct Torture {
    world: World,
    rng: Rng,
    people: Vec<Person>,
    next_id: u64,
    rooms: Vec<u64>,
}

impl Torture {
    fn new(seed: u64) -> Torture {
        let config =
            PlaneConfig { start_bitrate_bps: 300_000, max_transports: 1_000, ..test_config() };
        let mut world = World::with_config(config);
        for room in 2..=ROOMS {
            world.execute(Command::CreateRoom { room });
        }
        let rooms = (1..=ROOMS).collect();
        Torture { world, rng: Rng::new(seed), people: Vec::new(), next_id: 1_000, rooms }
    }

    fn below(&mut self, count: usize) -> usize {
        self.rng.below(count as u64) as usize
    }

    fn id(&mut self) -> u64 {
        self.next_id += 10;
        self.next_id
    }

    fn join(&mut self) {
        let choice = self.below(self.rooms.len());
        let room = self.rooms[choice];
        let port = 5_000 + self.world.endpoints.len();
        let index = self.world.join(room, ClientConfig::at(&format!("198.51.100.7:{port}")));
        let transport = self.world.endpoints[index].transport;
        // It reports what arrives, so it is probed for more than it gets.
        let client = self.world.client(index);
        client.tolerates_replays = true;
        client.media.set_extensions(&PUBLISHER_EXTENSIONS);
        client.media.twcc = Some((TwccRecorder::new(ms(100)), TwccWriter::default()));
        self.world.plane.pin_wanted_bps(transport, 2_000_000);
        let mut person = Person { index, room, producers: Vec::new(), consumers: Vec::new() };
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let producer = self.id();
            let ssrc = producer as u32;
            let track = match kind {
                MediaKind::Audio => TrackConfig::audio(ssrc),
                MediaKind::Video => TrackConfig::video(ssrc, ssrc + 1),
            };
            let track = TrackConfig { transport_cc: Some(3), keyframe_every: Some(50), ..track };
            self.world.publish(index, producer, track);
            person.producers.push((producer, kind));
        }
        for (consumer, producer, kind) in self.offered_to(&person) {
            self.world.subscribe(index, consumer, producer, kind, consumer as u32);
            person.consumers.push(consumer);
        }
        self.people.push(person);
    }

    fn offered_to(&mut self, person: &Person) -> Vec<(u64, u64, MediaKind)> {
        let others: Vec<_> = self
            .people
            .iter()
            .filter(|other| other.room == person.room && other.index != person.index)
            .flat_map(|other| other.producers.clone())
            .collect();
        others.into_iter().map(|(producer, kind)| (self.id(), producer, kind)).collect()
    }

    fn leave(&mut self, at: usize) {
        let person = self.people.swap_remove(at);
        let transport = self.world.endpoints[person.index].transport;
        self.world.execute(Command::CloseTransport { transport });
        if self.rng.chance(0.5) {
            // Else it goes on sending to nobody.
            self.world.client(person.index).alive = false;
        }
    }

    fn lose_room(&mut self, command: impl FnOnce(u64) -> Command) {
        let choice = self.below(self.rooms.len());
        let room = self.rooms[choice];
        self.world.execute(command(room));
        self.world.run(ms(300));
        // After a fault that nobody triggered the room is still there.
        self.world.execute(Command::CloseRoom { room });
        let new = self.id();
        self.world.execute(Command::CreateRoom { room: new });
        self.rooms[choice] = new;
        self.people.retain(|person| person.room != room);
    }

    fn network(&mut self, index: usize) {
        let loss = [0.0, 0.02, 0.2, 0.7][self.below(4)];
        let rate_bps = [0, 150_000, 1_000_000][self.below(3)];
        let config = NetemConfig { loss: Loss::Random(loss), rate_bps, ..good_network() };
        self.world.set_network(index, config, config);
    }

    /// One random action.
    fn act(&mut self) {
        let action = self.rng.below(100);
        match action {
            94..=95 => return self.lose_room(|room| Command::InjectPanic { room }),
            96..=97 => return self.lose_room(|room| Command::CloseRoom { room }),
            _ => {}
        }
        if self.people.len() < 3 || (action < 15 && self.people.len() < 9) {
            return self.join();
        }
        let at = self.below(self.people.len());
        let Person { index, ref producers, ref consumers, .. } = self.people[at];
        let producer = producers.first().map(|(id, _)| *id);
        let consumer = consumers.last().copied();
        let command = match action {
            15..=24 => return self.leave(at),
            25..=44 => return self.network(index),
            45..=49 => {
                let budget = action.is_multiple_of(2).then_some(100_000);
                return self.world.set_budget(index, budget);
            }
            50..=54 => {
                let address = format!("203.0.113.9:{}", 7_000 + self.id() % 50_000);
                let now = self.world.now;
                return self.world.client(index).move_to(&address, now);
            }
            55..=59 => {
                let alive = self.world.client(index).alive;
                self.world.client(index).alive = !alive;
                return;
            }
            60..=69 => producer
                .map(|producer| Command::SetProducerPaused { producer, paused: action < 65 }),
            70..=79 => consumer
                .map(|consumer| Command::SetConsumerPaused { consumer, paused: action < 75 }),
            80..=84 => consumer.map(|consumer| Command::SetConsumerLayers {
                consumer,
                wish: LayerWish { preferred: (action < 82).then_some(Layer::HIGHEST), priority: 1 },
            }),
            85..=87 => consumer.map(|consumer| Command::RemoveConsumer { consumer }),
            88..=89 => producer.map(|producer| Command::RemoveProducer { producer }),
            _ => None,
        };
        if let Some(command) = command {
            self.world.execute(command);
        }
    }
}

#[test]
fn torture_leaves_no_packet_unaccounted() {
    let mut seen = [0_u64; DropReason::ALL.len()];
    let (mut stages, mut panics, mut classes) = ([0; Stage::ALL.len()], 0, [0; 4]);
    for seed in 0..6 {
        let mut torture = Torture::new(seed);
        for _ in 0..4 {
            torture.join();
        }
        torture.world.run(ms(500));
        for _ in 0..120 {
            torture.act();
            let pause = ms(torture.rng.below(600));
            torture.world.run(pause);
            torture.world.snapshot();
        }
        for room in torture.rooms.clone() {
            torture.world.execute(Command::CloseRoom { room });
        }
        let counters = torture.world.snapshot().counters;
        assert_eq!((counters.ledger.waiting, torture.world.plane.table_entries()), (0, 0));
        seen.iter_mut().zip(counters.dropped).for_each(|(sum, count)| *sum += count);
        for stage in Stage::ALL {
            stages[stage as usize] += counters.entered(stage);
        }
        panics += counters.room_panics;
        let sent = [
            counters.rtp_packets_out[1],
            counters.retransmissions_out,
            counters.padding_out,
            counters.echoes_out,
            counters.fillers_out,
        ];
        classes.iter_mut().zip(sent).for_each(|(sum, count)| *sum += count);
    }
    assert!(stages.iter().all(|count| *count > 100), "{stages:?}");
    assert!(panics > 0);
    assert!(classes[..3].iter().all(|count| *count > 10), "{classes:?}");
    for reason in [
        DropReason::UnknownSource,
        DropReason::ProducerPaused,
        DropReason::ConsumerPaused,
        DropReason::AwaitingKeyframe,
        DropReason::PacerOverflow,
        DropReason::TransportClosed,
        DropReason::ConsumerGone,
        DropReason::RoomGone,
        DropReason::Duplicate,
        DropReason::NotSecured,
    ] {
        assert!(seen[reason as usize] > 0, "{} never happened: {seen:?}", reason.as_str());
    }
}

#[test]
fn requests_for_packets_are_answered_or_refused_for_a_reason() {
    let mut world = World::pair();
    world.publish(0, 11, TrackConfig::video(2_000, 2_001));
    world.subscribe(1, 21, 11, MediaKind::Video, 8_000);
    let lossy = NetemConfig { loss: Loss::Random(0.7), ..good_network() };
    world.set_network(1, good_network(), lossy);
    world.run(Duration::from_secs(20));
    let counters = world.snapshot().counters;
    let [asked, answered] = [counters.entered(Stage::Nack), counters.passed(Stage::Nack)];
    assert!(answered > 50 && asked > answered, "{asked} {answered}");
    assert_eq!(counters.ledger.dropped_at(Stage::Nack), asked - answered);
    assert_eq!(counters.retransmissions_out, answered, "nothing else is sent again");
    assert_eq!(
        counters.retransmissions_missed,
        counters.ledger.dropped(Stage::Nack, DropReason::NotCached)
    );
}
