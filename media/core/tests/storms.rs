//! What one participant sends costs the others next to nothing, however much it names or changes.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use media_core::api::{Event, MediaKind};
use media_core::srtp::MAX_OVERHEAD;
use media_core::{DropReason, Stage};
use support::media::TrackConfig;
use support::{Datagram, World, consumer_parameters, producer_parameters};

const STREAM: u32 = 8_000;
/// Bytes of RTCP in a datagram.
const MOST_BYTES: usize = 1_400;
/// Numbers that may be named a second.
const NUMBERS_PER_S: u64 = 100_000;

/// A transport-layer feedback packet of this format, by the first participant about its stream.
fn feedback(format: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80 | format, 205, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(&STREAM.to_be_bytes());
    packet.extend_from_slice(body);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let words = (packet.len() / 4 - 1) as u16;
    packet[2..4].copy_from_slice(&words.to_be_bytes());
    packet
}

/// Congestion feedback that says of 16,382 packets that none arrived, in 24 bytes.
fn nothing_arrived() -> Vec<u8> {
    let count = 2 * 0x1fff_u16;
    feedback(
        15,
        &[&[0, 0], &count.to_be_bytes()[..], &[0, 0, 0, 0, 0x1f, 0xff, 0x1f, 0xff]].concat(),
    )
}

/// A request for 340 packets.
fn all_again() -> Vec<u8> {
    let entry = |entry: u16| [(17 * entry).to_be_bytes(), [0xff, 0xff]].concat();
    feedback(1, &(0..20).flat_map(entry).collect::<Vec<u8>>())
}

/// A keyframe in one packet, under any SSRC of the track `m`.
fn keyframe(sequence_number: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x90, 96];
    packet.extend_from_slice(&sequence_number.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x40, b'm', 0, 0]);
    packet.extend_from_slice(&[0x10, 0x10, 2, 0, 0x9d, 1, 0x2a, 0x80, 0x42, 0x68, 0x41, 0]);
    packet
}

/// Packets of RTCP that were looked at, and that were not.
fn read_and_cut(world: &mut World) -> (u64, u64) {
    let counters = world.snapshot().counters;
    let cut = counters.ledger.dropped(Stage::Report, DropReason::RateExceeded);
    (counters.passed(Stage::Report), cut)
}

#[test]
fn feedback_that_names_millions_of_packets_is_not_read() {
    for (name, packet, numbers) in
        [("arrivals", nothing_arrived(), 16_382), ("requests", all_again(), 340)]
    {
        let mut world = World::pair();
        world.feed_back(1);
        world.publish(0, 11, TrackConfig::video(2_000, 2_001));
        world.subscribe(1, 21, 11, MediaKind::Video, STREAM);
        world.run(Duration::from_secs(2));
        let (before, cut) = read_and_cut(&mut world);
        assert_eq!(cut, 0, "{name}: nothing of what honest subscribers say");
        let compound = packet.repeat(MOST_BYTES / packet.len());
        let end = world.now + Duration::from_secs(2);
        while world.now < end {
            for _ in 0..20 {
                let client = world.client(1);
                let (mut bytes, len) = (compound.clone(), compound.len());
                bytes.resize(len + MAX_OVERHEAD, 0);
                let srtp = client.srtp.as_mut().unwrap();
                let len = srtp.local.protect_rtcp(&mut bytes, len).unwrap();
                bytes.truncate(len);
                let from = client.remote();
                world.deliver(Datagram { from, bytes });
            }
            world.run(Duration::from_millis(20));
        }
        let (read, cut) = read_and_cut(&mut world);
        let most = before + (2 * NUMBERS_PER_S + 16_384) / numbers + 200;
        assert!(read <= most && cut > 10 * most, "{name}: {read} read, {cut} cut");
    }
}

#[test]
fn a_source_that_changes_all_the_time_sends_subscribers_no_floods() {
    let mut world = World::pair();
    let mut parameters = producer_parameters(&TrackConfig::video(1, 2), "m");
    parameters.encodings[0].ssrc = None;
    parameters.encodings[0].rtx_ssrc = None;
    parameters.nack = false;
    world.add_producer(0, 11, parameters);
    let parameters = consumer_parameters(MediaKind::Video, STREAM, "c");
    world.subscribe_with(1, 21, 11, MediaKind::Video, parameters);
    world.run(Duration::from_millis(100));
    let mut numbers = HashMap::new();
    let mut sent = 0;
    for step in 0..1_000_u32 {
        // More sources than are remembered to have ended, each with gaps that would be filled.
        let ssrc = 10_000 + step % 12;
        let number: &mut u16 = numbers.entry(ssrc).or_default();
        for ahead in [1, 126] {
            *number = number.wrapping_add(ahead);
            let packet = keyframe(*number, 3_600 * step, ssrc);
            let client = world.client(0);
            let bytes = client.send_rtp(20, packet);
            client.outbox.clear();
            let from = client.remote();
            world.deliver(Datagram { from, bytes });
            sent += 1;
        }
        world.run(Duration::from_millis(5));
    }
    let counters = world.snapshot().counters;
    let out = counters.rtp_packets_out[MediaKind::Video as usize] + counters.fillers_out;
    assert!(out < sent, "{out} packets for {sent}");
    let starts = |event: &&Event| matches!(event, Event::ConsumerStarted { .. });
    let starts = world.events.iter().filter(starts).count();
    assert!((2..=7).contains(&starts), "a source stays for a second: {starts}");
    assert!(counters.dropped[DropReason::RateExceeded as usize] > 1_000);
}
