//! One audio track from one participant to another.

use media_core::Command;
use media_core::api::{
    Codec, CodecParameters, ConsumerParameters, EncodingParameters, MediaKind, ProducerParameters,
};
use media_net::Engine;

use super::fence;
use super::link::Link;
use super::participant::{Participant, RtpPacket};

pub const PUBLISHED_SSRC: u32 = 0x1111;
pub const SENT_SSRC: u32 = 0x2222;

fn opus(payload_type: u8) -> Vec<CodecParameters> {
    vec![CodecParameters {
        codec: Codec::Opus,
        payload_type,
        rtx_payload_type: None,
        red_payload_type: None,
        clock_rate_hz: 48_000,
        variant: String::new(),
    }]
}

/// Publishes audio as a producer and subscribes `to` to it, both by the number of the room.
pub fn connect_audio(engine: &Engine, room: u64, from: u64, to: u64) {
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

pub fn send<L: Link>(publisher: &mut Participant<L>, index: u16) {
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

pub fn receive<L: Link>(subscriber: &mut Participant<L>, index: u16) {
    let packet = subscriber.receive_rtp();
    assert_eq!(packet[1] & 0x7f, 96);
    assert_eq!(packet[8..12], SENT_SSRC.to_be_bytes());
    assert_eq!(packet[packet.len() - 80..], [index as u8; 80]);
}
