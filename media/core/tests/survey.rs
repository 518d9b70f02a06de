//! Looking at rooms one after the other tells what a look at all of them at once tells.

mod support;

use std::time::Duration;

use media_core::Stage;
use media_core::api::{Command, MediaKind};
use support::client::ClientConfig;
use support::media::TrackConfig;
use support::{World, lossy};

/// Three rooms with a pair each, all talking; one way up loses packets.
fn three_rooms() -> World {
    let mut world = World::new();
    for room in [2, 3] {
        world.execute(Command::CreateRoom { room });
    }
    for index in 0..6 {
        let address = format!("198.51.100.{}:5000", index + 1);
        world.join(1 + index / 2, ClientConfig::at(&address));
    }
    world.connect();
    for pair in 0..3 {
        world.publish(2 * pair, 10 + pair as u64, TrackConfig::audio(1_000));
        world.subscribe(2 * pair + 1, 20 + pair as u64, 10 + pair as u64, MediaKind::Audio, 7_000);
    }
    world.set_network(0, lossy(0.5), lossy(0.0));
    world.run(Duration::from_secs(2));
    world
}

#[test]
fn rooms_looked_at_one_by_one_are_a_snapshot_of_all() {
    let mut world = three_rooms();
    let whole = world.plane.snapshot(world.now);
    assert_eq!((whole.rooms, whole.transports.len(), whole.consumers.len()), (3, 6, 3));
    let mut survey = world.plane.begin_survey();
    for ahead in [2, 1, 0] {
        world.plane.survey(world.now, &mut survey, 1);
        assert_eq!(survey.rooms_ahead(), ahead);
    }
    world.plane.survey(world.now, &mut survey, 1);
    assert_eq!(world.plane.finish_survey(survey), whole);
}

#[test]
fn counters_are_those_of_the_end() {
    let mut world = three_rooms();
    let before = world.snapshot().counters;
    let mut survey = world.plane.begin_survey();
    world.plane.survey(world.now, &mut survey, 1);
    world.run(Duration::from_secs(1));
    world.plane.survey(world.now, &mut survey, 2);
    let mut counters = world.plane.finish_survey(survey).counters;
    assert!(counters.entered(Stage::Datagram) > before.entered(Stage::Datagram) + 100);
    for stage in [Stage::Datagram, Stage::Send] {
        assert_eq!(counters.unaccounted(stage), 0, "{stage:?}");
    }
    // But for what tracks lost, which is asked track by track.
    let after = world.snapshot().counters;
    assert!((before.rtp_lost..after.rtp_lost).contains(&counters.rtp_lost));
    counters.rtp_lost = after.rtp_lost;
    assert_eq!(counters, after);
}

#[test]
fn rooms_come_and_go_meanwhile() {
    let mut world = three_rooms();
    let mut survey = world.plane.begin_survey();
    world.plane.survey(world.now, &mut survey, 1);
    // One that was looked at, one that was not, and one that came.
    world.execute(Command::CloseRoom { room: 1 });
    world.execute(Command::CloseRoom { room: 2 });
    world.execute(Command::CreateRoom { room: 4 });
    world.plane.survey(world.now, &mut survey, usize::MAX);
    let snapshot = world.plane.finish_survey(survey);
    assert_eq!(snapshot.rooms, 2);
    let mut rooms: Vec<u64> = snapshot.transports.iter().map(|stats| stats.room).collect();
    rooms.dedup();
    assert_eq!(rooms, [1, 3]);
    let rooms: Vec<u64> = world.snapshot().transports.iter().map(|stats| stats.room).collect();
    assert_eq!(rooms, [3, 3]);
}

#[test]
fn what_a_track_lost_counts_once_though_it_ends_meanwhile() {
    let mut world = three_rooms();
    let lost = world.snapshot().counters.rtp_lost;
    assert!(lost[MediaKind::Audio as usize] > 20, "{lost:?}");
    // Before and after the look at its room.
    for looked_at in [0, 3] {
        let mut world = three_rooms();
        let mut survey = world.plane.begin_survey();
        world.plane.survey(world.now, &mut survey, looked_at);
        world.execute(Command::RemoveProducer { producer: 10 });
        world.plane.survey(world.now, &mut survey, usize::MAX);
        let during = world.plane.finish_survey(survey).counters.rtp_lost;
        let after = world.snapshot().counters.rtp_lost;
        assert!(during <= after, "{during:?} {after:?}");
        assert_eq!(after, lost, "{looked_at}");
    }
}
