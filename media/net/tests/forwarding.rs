//! Media between synthetic participants over real sockets.

mod support;

use media_core::api::{
    Codec, CodecParameters, ConsumerParameters, EncodingParameters, MediaKind, ProducerParameters,
    TransportState,
};
use media_core::{Command, Event};
use media_net::{Engine, EngineEvent};
use support::participant::{Participant, RtpPacket};
use support::*;

const PUBLISHED_SSRC: u32 = 0x1111;
const SENT_SSRC: u32 = 0x2222;

fn opus(payload_type: u8) -> Vec<CodecParameters> {
    vec![CodecParameters {
        codec: Codec::Opus,
        payload_type,
        rtx_payload_type: None,
        clock_rate_hz: 48_000,
        variant: String::new(),
    }]
}

/// Publishes audio as a producer and subscribes `to` to it, both by the number of the room.
fn connect_audio(engine: &Engine, room: u64, from: u64, to: u64) {
    let encoding = EncodingParameters { ssrc: Some(PUBLISHED_SSRC), ..Default::default() };
    let producer = ProducerParameters {
        kind: MediaKind::Audio,
        mid: "0".into(),
        codecs: opus(111),
        encodings: vec![encoding],
        nack: false,
    };
    let consumer = ConsumerParameters {
        mid: "1".into(),
        ssrc: SENT_SSRC,
        rtx_ssrc: None,
        codecs: opus(96),
        nack: false,
        cname: "publisher".into(),
        paused: false,
    };
    for command in [
        Command::AddProducer { transport: from, producer: room, parameters: producer },
        Command::AddConsumer {
            transport: to,
            consumer: room,
            producer: room,
            parameters: consumer,
        },
    ] {
        engine.command(command).unwrap();
    }
    fence(engine);
}

/// A room with a publisher and a subscriber, connected.
fn room(engine: &Engine, room: u64) -> (Participant, Participant) {
    let server = engine.local_addresses()[0];
    engine.command(Command::CreateRoom { room }).unwrap();
    let (from, to) = (10 * room, 10 * room + 1);
    let publisher = Participant::join(engine, room, from, server);
    let subscriber = Participant::join(engine, room, to, server);
    connect_audio(engine, room, from, to);
    (publisher, subscriber)
}

fn send(publisher: &mut Participant, index: u16) {
    publisher.send_rtp(&RtpPacket {
        payload_type: 111,
        ssrc: PUBLISHED_SSRC,
        // Wraps within the test.
        sequence_number: 65_510u16.wrapping_add(index),
        timestamp: 960 * u32::from(index),
        marker: false,
        payload: &[index as u8; 80],
    });
}

fn receive(subscriber: &mut Participant, index: u16) {
    let packet = subscriber.receive_rtp();
    assert_eq!(packet[1] & 0x7f, 96);
    assert_eq!(packet[8..12], SENT_SSRC.to_be_bytes());
    assert_eq!(packet[packet.len() - 80..], [index as u8; 80]);
}

fn talk(listen: &str) {
    let engine = start(config(&[listen]));
    let (mut publisher, mut subscriber) = room(&engine, 1);
    for index in 0..50 {
        send(&mut publisher, index);
        receive(&mut subscriber, index);
    }
    let snapshot =
        wait_snapshot(&engine, |snapshot| snapshot.plane.counters.rtp_packets_out == [50, 0]);
    let counters = snapshot.plane.counters;
    assert_eq!(counters.rtp_packets_in, [50, 0]);
    assert_eq!(counters.dtls_handshakes, 2);
    assert_eq!(counters.forward_delay_buckets.iter().sum::<u64>(), 50);
    assert!(counters.forward_delay_sum_s > 0.0);
    assert!(counters.forward_delay_sum_s < 50.0);

    engine.close().unwrap();
    let closed = engine
        .drain_events()
        .into_iter()
        .filter(|event| {
            matches!(
                event,
                EngineEvent::Plane(Event::TransportStateChanged {
                    state: TransportState::Closed,
                    ..
                })
            )
        })
        .count();
    assert_eq!(closed, 2);
}

#[test]
fn audio_is_forwarded_over_ipv4() {
    talk("127.0.0.1:0");
}

#[test]
fn audio_is_forwarded_over_ipv6() {
    if has_ipv6() {
        talk("[::1]:0");
    }
}

#[test]
fn panic_in_one_room_leaves_the_other_talking() {
    let mut config = config(&["127.0.0.1:0"]);
    config.plane.fault_injection = true;
    let engine = start(config);
    let (mut doomed, _) = room(&engine, 1);
    let (mut publisher, mut subscriber) = room(&engine, 2);
    engine.command(Command::InjectPanic { room: 1 }).unwrap();
    fence(&engine);
    send(&mut doomed, 0);
    wait_event(&engine, |event| matches!(event, Event::RoomPanicked { room: 1, .. }));
    for index in 0..5 {
        send(&mut publisher, index);
        receive(&mut subscriber, index);
    }
    let snapshot = wait_snapshot(&engine, |snapshot| snapshot.plane.counters.room_panics == 1);
    assert_eq!(snapshot.plane.rooms, 1);
    assert!(!engine.is_closed());
}
