//! What forwarding costs: CPU time of the media thread per forwarded packet, over loopback.
//!
//! ```text
//! cargo run --release -p witness-media-net --example forward -- \
//!     [subscribers=10] [packets_per_second=2000] [seconds=5] [payload_bytes=1100]
//! ```
//!
//! One participant publishes VP8, the others receive it over SRTP (AES-GCM-128). The figure holds
//! everything the thread does: receive, decrypt, rewrite, cache, encrypt, send, timers.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use media_core::api::{
    Codec, CodecParameters, ConsumerParameters, EncodingParameters, FORWARD_DELAY_BOUNDS_S,
    MediaKind, ProducerParameters,
};
use media_core::{Command, DropReason};
use media_net::Engine;
use support::participant::{Participant, RtpPacket};
use support::*;

const ROOM: u64 = 1;
const PRODUCER: u64 = 1;
const PUBLISHER: u64 = 1;
const PUBLISHED_SSRC: u32 = 0x1111;
const PAYLOAD_TYPE: u8 = 96;
/// VP8 keyframe of 640 × 360 (RFC 6386, section 9.1).
const KEYFRAME_HEADER: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
/// Packets of one picture.
const PICTURE_PACKETS: u64 = 10;

struct Options {
    subscribers: u64,
    packets_per_second: u64,
    seconds: u64,
    payload_bytes: usize,
}

fn main() {
    let options = options();
    let engine = start(config(&["127.0.0.1:0"]));
    engine.command(Command::CreateRoom { room: ROOM }).expect("the engine runs");
    let server = engine.local_addresses()[0];
    let mut publisher = Participant::join(&engine, ROOM, PUBLISHER, server);
    publish(&engine);
    let subscribers = subscribe(&engine, server, options.subscribers);
    fence(&engine);

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| receive_all(&subscribers, &over));
        let cpu_before = media_thread_cpu();
        let started = Instant::now();
        send(&mut publisher, &options);
        // The rest of what is queued.
        readable(&publisher.socket, Duration::from_millis(200));
        let (cpu, elapsed) = (media_thread_cpu() - cpu_before, started.elapsed());
        over.store(true, Ordering::Relaxed);
        engine.close().expect("the media thread ends");
        report(&engine, &options, cpu, elapsed);
    });
}

fn options() -> Options {
    let mut values = [10, 2_000, 5, 1_100];
    for (value, argument) in values.iter_mut().zip(std::env::args().skip(1)) {
        *value = argument.parse().expect("arguments are numbers");
    }
    let [subscribers, packets_per_second, seconds, payload_bytes] = values;
    Options { subscribers, packets_per_second, seconds, payload_bytes: payload_bytes as usize }
}

fn codecs() -> Vec<CodecParameters> {
    vec![CodecParameters {
        codec: Codec::Vp8,
        payload_type: PAYLOAD_TYPE,
        rtx_payload_type: Some(97),
        clock_rate_hz: 90_000,
        variant: String::new(),
    }]
}

fn publish(engine: &Engine) {
    let encoding = EncodingParameters { ssrc: Some(PUBLISHED_SSRC), ..Default::default() };
    let parameters = ProducerParameters {
        kind: MediaKind::Video,
        mid: "0".into(),
        codecs: codecs(),
        encodings: vec![encoding],
        nack: true,
    };
    let command = Command::AddProducer { transport: PUBLISHER, producer: PRODUCER, parameters };
    engine.command(command).expect("the engine runs");
}

fn subscribe(engine: &Engine, server: SocketAddr, count: u64) -> Vec<Participant> {
    (0..count)
        .map(|index| {
            let transport = PUBLISHER + 1 + index;
            let participant = Participant::join(engine, ROOM, transport, server);
            participant.socket.set_nonblocking(true).expect("a socket option");
            let parameters = ConsumerParameters {
                mid: "1".into(),
                ssrc: 0x10_0000 + index as u32,
                rtx_ssrc: Some(0x20_0000 + index as u32),
                codecs: codecs(),
                nack: true,
                cname: "publisher".into(),
                paused: false,
            };
            let command = Command::AddConsumer {
                transport,
                consumer: 1 + index,
                producer: PRODUCER,
                parameters,
            };
            engine.command(command).expect("the engine runs");
            participant
        })
        .collect()
}

/// Empties the subscribers' sockets and renews their consent.
fn receive_all(subscribers: &[Participant], over: &AtomicBool) {
    let mut buffer = [0; 2_048];
    let mut renewed = Instant::now();
    while !over.load(Ordering::Relaxed) {
        for subscriber in subscribers {
            loop {
                match subscriber.socket.recv(&mut buffer) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("receiving failed: {error}"),
                }
            }
        }
        if renewed.elapsed() > Duration::from_secs(2) {
            subscribers.iter().for_each(Participant::renew_consent);
            renewed = Instant::now();
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Publishes pictures evenly; the first is a keyframe.
fn send(publisher: &mut Participant, options: &Options) {
    let total = options.packets_per_second * options.seconds;
    let started = Instant::now();
    for index in 0..total {
        let (picture, position) = (index / PICTURE_PACKETS, index % PICTURE_PACKETS);
        let due = started
            + Duration::from_secs_f64(
                (picture * PICTURE_PACKETS) as f64 / options.packets_per_second as f64,
            );
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut payload = vec![0x55; options.payload_bytes];
        payload[0] = if position == 0 { 0x10 } else { 0 };
        if position == 0 && picture == 0 {
            payload[1..=KEYFRAME_HEADER.len()].copy_from_slice(&KEYFRAME_HEADER);
        }
        publisher.send_rtp(&RtpPacket {
            payload_type: PAYLOAD_TYPE,
            ssrc: PUBLISHED_SSRC,
            sequence_number: index as u16,
            timestamp: (picture * 3_000) as u32,
            marker: position == PICTURE_PACKETS - 1,
            payload: &payload,
        });
    }
}

/// CPU time of the media thread so far (first field of `schedstat`, in nanoseconds).
fn media_thread_cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("procfs");
    tasks
        .flatten()
        .map(|task| task.path())
        .find(|task| {
            fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("engine-test"))
        })
        .and_then(|task| fs::read_to_string(task.join("schedstat")).ok())
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .map(Duration::from_nanos)
        .expect("a media thread with schedstat")
}

fn report(engine: &Engine, options: &Options, cpu: Duration, elapsed: Duration) {
    let counters = engine.snapshot().plane.counters;
    let [_, received] = counters.rtp_packets_in;
    let [_, forwarded] = counters.rtp_packets_out;
    println!(
        "subscribers {}, payload {} bytes, received {received}, forwarded {forwarded}",
        options.subscribers, options.payload_bytes,
    );
    for reason in DropReason::ALL {
        if counters.dropped[reason as usize] > 0 {
            println!("dropped {} {}", counters.dropped[reason as usize], reason.as_str());
        }
    }
    println!(
        "cpu {:.2} us per forwarded packet, thread busy {:.0} %",
        cpu.as_secs_f64() * 1e6 / forwarded.max(1) as f64,
        100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64()
    );
    for share in [0.5, 0.99] {
        println!(
            "forward delay p{:.0} <= {}",
            share * 100.0,
            quantile(&counters.forward_delay_buckets, share)
        );
    }
}

/// Upper bound of the bucket that holds a share of all packets.
fn quantile(buckets: &[u64], share: f64) -> String {
    let wanted = share * buckets.iter().sum::<u64>() as f64;
    let mut seen = 0;
    let bucket = buckets.iter().position(|count| {
        seen += count;
        seen as f64 >= wanted
    });
    bucket
        .and_then(|index| FORWARD_DELAY_BOUNDS_S.get(index))
        .map_or("more".into(), |bound| format!("{:.0} us", bound * 1e6))
}
