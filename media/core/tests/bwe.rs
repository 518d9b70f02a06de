//! Bandwidth estimation against an emulated network: tables of scenarios with what has to come
//! out. `cargo test -p witness-media-core --test bwe -- --nocapture` prints what did.

mod support;

use std::time::{Duration, Instant};

use media_core::api::{ExtensionId, ExtensionKind, MediaKind};
use media_core::netem::{Flow, Loss, Netem, NetemConfig};
use media_core::{DropReason, PlaneConfig};
use support::media::TrackConfig;
use support::{World, test_config};

const SUBSCRIBER: usize = 1;
const VIDEO_SSRC: u32 = 8_000;
const TRANSPORT: u64 = 101;
/// The publisher follows the estimate this often, like an allocator would.
const TICK: Duration = Duration::from_millis(100);
const FRAME: Duration = Duration::from_micros(33_333);
const MAX_PAYLOAD: f64 = 1_050.0;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A link with a rate and a queue that holds `queue` at that rate, 20 ms away.
fn link(rate_bps: u64, queue: Duration) -> NetemConfig {
    NetemConfig { rate_bps, queue_delay: queue, delay: ms(20), ..NetemConfig::default() }
}

fn wide() -> NetemConfig {
    NetemConfig { delay: ms(20), ..NetemConfig::default() }
}

/// What was seen in one tick.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    estimate_bps: u64,
    received_bps: f64,
    queue: Duration,
}

/// A publisher whose video follows the estimate of its only subscriber, up to a demand.
struct Call {
    world: World,
    demand_bps: u64,
    samples: Vec<Sample>,
    received: u64,
    /// Packets sent for the first time and again.
    sent: (u64, u64),
    /// Retransmissions per packet.
    repeats: f64,
    start: Instant,
}

impl Call {
    fn new(demand_bps: u64, down: NetemConfig) -> Call {
        // An outage of 30 s is not to end the call.
        let config =
            PlaneConfig { consent_timeout: s(60), start_bitrate_bps: 600_000, ..test_config() };
        let mut world = World::pair_with(config);
        let ids = [(ExtensionKind::Mid, 9), (ExtensionKind::TransportCc, 5)];
        let ids = ids.map(|(kind, id)| ExtensionId { kind, id });
        world.set_extensions(SUBSCRIBER, &ids);
        world.set_network(SUBSCRIBER, wide(), down);
        // Audio has no RTX: asked for twice, it comes twice.
        world.client(SUBSCRIBER).tolerates_replays = true;
        let (now, media) = (world.now, &mut world.client(SUBSCRIBER).media);
        media.set_extensions(&ids);
        media.twcc = Some((media_core::twcc::TwccRecorder::new(ms(100)), Default::default()));
        media.keeps = false;
        media.reported_loss = 0;
        world.plane.pin_wanted_bps(TRANSPORT, demand_bps);
        let mut track = TrackConfig::video(2_000, 2_001);
        track.interval = FRAME;
        world.publish(0, 11, track);
        world.publish(0, 12, TrackConfig::audio(3_000));
        world.subscribe(SUBSCRIBER, 21, 11, MediaKind::Video, VIDEO_SSRC);
        world.subscribe(SUBSCRIBER, 22, 12, MediaKind::Audio, 9_000);
        Call {
            world,
            demand_bps,
            samples: Vec::new(),
            received: 0,
            sent: (0, 0),
            repeats: 0.0,
            start: now,
        }
    }

    fn down(&mut self) -> &mut Netem<support::Datagram> {
        &mut self.world.endpoints[SUBSCRIBER].down
    }

    fn at(&self, since_start: Duration) -> Instant {
        self.start + since_start
    }

    /// Changes the path down at the given times.
    fn schedule(&mut self, steps: &[(Duration, NetemConfig)]) {
        let start = self.start;
        let steps: Vec<_> = steps.iter().map(|(at, config)| (start + *at, *config)).collect();
        self.down().set_schedule(steps);
    }

    /// Sends video at what the estimate leaves for it beside audio and retransmissions.
    fn follow(&mut self, estimate_bps: u64) {
        let snapshot = self.world.snapshot();
        let consumers = snapshot.consumers.iter();
        let sent = consumers.fold((0, 0), |sum, c| (sum.0 + c.packets, sum.1 + c.retransmitted));
        let before = std::mem::replace(&mut self.sent, sent);
        let repeats = (sent.1 - before.1) as f64 / (sent.0 - before.0).max(1) as f64;
        self.repeats += 0.2 * (repeats - self.repeats);
        let budget = estimate_bps as f64 * 0.95 / (1.0 + self.repeats);
        let target = budget.min(self.demand_bps as f64) - 60e3;
        let frame = (target.max(20e3) * FRAME.as_secs_f64() / 8.0).max(100.0);
        let packets = (frame / MAX_PAYLOAD).ceil();
        let config = &mut self.world.client(0).media.tracks[0].config;
        config.packets_per_frame = packets as usize;
        config.payload_len = ((frame / packets) as usize).max(60);
    }

    fn run_until(&mut self, end: Duration) {
        while self.world.now < self.start + end {
            self.world.run(TICK);
            let stats = self.world.snapshot();
            let stats = stats.transports.iter().find(|t| t.transport == TRANSPORT).unwrap();
            let estimate_bps = stats.estimate_bps.unwrap_or(600_000);
            self.follow(estimate_bps);
            let received = self.world.client(SUBSCRIBER).media.received_bytes;
            let bytes = received - std::mem::replace(&mut self.received, received);
            let queue = self.down().queueing();
            self.samples.push(Sample {
                at: self.world.now - self.start,
                estimate_bps,
                received_bps: bytes as f64 * 8.0 / TICK.as_secs_f64(),
                queue,
            });
        }
    }

    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.at >= from && sample.at < to)
    }

    /// When the estimate first passes the condition for a second, counted from `from`.
    fn settles(&self, from: Duration, fits: impl Fn(&Sample) -> bool) -> Option<Duration> {
        let samples: Vec<_> = self.between(from, s(10_000)).collect();
        samples.windows(10).find(|window| window.iter().all(|s| fits(s))).map(|w| w[0].at - from)
    }

    /// Means of estimate and of what arrived, and the queueing delay 95 % stay below.
    fn summary(&self, from: Duration, to: Duration) -> (f64, f64, Duration) {
        let count = self.between(from, to).count().max(1) as f64;
        let estimate: u64 = self.between(from, to).map(|sample| sample.estimate_bps).sum();
        let received: f64 = self.between(from, to).map(|sample| sample.received_bps).sum();
        let mut queues: Vec<_> = self.between(from, to).map(|sample| sample.queue).collect();
        queues.sort();
        let p95 = queues.get(queues.len() * 95 / 100).copied().unwrap_or_default();
        (estimate as f64 / count, received / count, p95)
    }
}

/// One line of the table.
fn print(
    name: &str,
    call: &Call,
    from: u64,
    to: u64,
    capacity_bps: f64,
    settled: Option<Duration>,
) {
    let (estimate, received, queue) = call.summary(s(from), s(to));
    let settled = settled.map_or("-".into(), |at| format!("{:.1}", at.as_secs_f64()));
    println!(
        "| {name:<44} | {from:>3}–{to:<3} | {settled:>5} | {:>7.0} | {:>7.0} | {:>5.0} % | {:>5.0} |",
        estimate / 1e3,
        received / 1e3,
        received / capacity_bps * 100.0,
        queue.as_secs_f64() * 1e3,
    );
    if std::env::var_os("BWE_TRACE").is_some() {
        for sample in call.samples.iter().step_by(5) {
            println!(
                "  {:>6.1} estimate {:>8} received {:>8.0} queue {:>6.1?}",
                sample.at.as_secs_f64(),
                sample.estimate_bps,
                sample.received_bps,
                sample.queue
            );
        }
    }
}

#[test]
fn the_estimate_follows_the_rate_of_the_link_down_and_up() {
    for (queue, drains_in) in [(300, s(3)), (1_000, s(4))] {
        let mut call = Call::new(2_500_000, link(2_000_000, ms(queue)));
        call.schedule(&[(s(20), link(300_000, ms(queue))), (s(50), link(2_000_000, ms(queue)))]);
        call.run_until(s(80));
        let started = call.settles(s(0), |s| s.estimate_bps > 1_600_000);
        let fell = call.settles(s(20), |s| s.estimate_bps <= 300_000);
        let drained = call.settles(s(20), |s| s.queue < ms(100));
        let rose = call.settles(s(50), |s| s.estimate_bps >= 1_600_000);
        let name = format!("2 Mb/s, queue of {queue} ms");
        print(&name, &call, 5, 20, 2e6, started);
        print(&format!("{name}: falls to 300 kb/s"), &call, 25, 50, 300e3, fell);
        print(&format!("{name}: queue below 100 ms again"), &call, 20, 26, 300e3, drained);
        print(&format!("{name}: back at 2 Mb/s"), &call, 60, 80, 2e6, rose);
        assert!(started.is_some_and(|at| at < s(5)), "{started:?}");
        assert!(fell.is_some_and(|at| at <= ms(2_500)), "{fell:?}");
        assert!(drained.is_some_and(|at| at <= drains_in), "{drained:?}");
        assert!(rose.is_some_and(|at| at <= s(12)), "{rose:?}");
        let steady = call.summary(s(25), s(50));
        assert!(steady.1 > 0.7 * 300e3 && steady.2 < ms(150), "{steady:?}");
        let steady = call.summary(s(62), s(80));
        assert!(steady.1 > 0.75 * 2e6 && steady.2 < ms(150), "{steady:?}");
    }
}

#[test]
fn tcp_on_the_same_link_does_not_starve_us() {
    for queue in [100, 250] {
        let mut call = Call::new(2_500_000, link(2_000_000, ms(queue)));
        let (from, until) = (call.at(s(15)), call.at(s(75)));
        let tcp = Flow::Tcp { round_trip: ms(40), packet_bytes: 1_200 };
        let flow = call.down().add_flow(tcp, from, until);
        call.run_until(s(90));
        let tcp_bps = call.down().flow_bytes(flow) as f64 * 8.0 / 60.0;
        let (_, received, _) = call.summary(s(25), s(75));
        let name = format!("2 Mb/s shared with TCP, queue of {queue} ms");
        print(&name, &call, 25, 75, 2e6, None);
        let back = call.settles(s(75), |s| s.estimate_bps > 1_600_000);
        print(&format!("{name}: alone again"), &call, 80, 90, 2e6, back);
        assert!(received > 0.25 * 2e6, "{received}, TCP {tcp_bps}");
        assert!(tcp_bps > 0.2 * 2e6, "{tcp_bps}");
        assert!(back.is_some_and(|at| at < s(12)), "{back:?}");
    }
}

#[test]
fn a_constant_competitor_leaves_the_rest_to_us() {
    let mut call = Call::new(2_500_000, link(2_000_000, ms(300)));
    let (from, until) = (call.at(s(15)), call.at(s(45)));
    let flow = Flow::Constant { rate_bps: 1_000_000, packet_bytes: 1_200 };
    call.down().add_flow(flow, from, until);
    call.run_until(s(60));
    let fell = call.settles(s(15), |s| s.estimate_bps < 1_050_000);
    print("2 Mb/s, 1 Mb/s of it taken", &call, 20, 45, 1e6, fell);
    let (_, received, queue) = call.summary(s(20), s(45));
    assert!(fell.is_some_and(|at| at < s(4)), "{fell:?}");
    assert!(received > 0.7e6 && queue < ms(200), "{received} {queue:?}");
}

#[test]
fn jitter_does_not_collapse_the_estimate() {
    for (reorders, demand) in [(false, 1_500_000), (true, 1_500_000)] {
        let network = NetemConfig { jitter: ms(200), jitter_reorders: reorders, ..wide() };
        let mut call = Call::new(demand, network);
        call.run_until(s(60));
        let order = if reorders { "reordering" } else { "in order" };
        let reached = call.settles(s(0), |s| s.estimate_bps as f64 > 0.8 * demand as f64);
        print(&format!("200 ms of jitter, {order}"), &call, 20, 60, demand as f64, reached);
        let (estimate, ..) = call.summary(s(20), s(60));
        assert!(estimate > 0.5 * demand as f64, "{order}: {estimate}");
    }
}

#[test]
fn random_loss_with_room_to_spare_does_not_lower_the_estimate() {
    for loss in [10, 30, 50, 70] {
        let demand = 1_500_000.0;
        let network = NetemConfig { loss: Loss::Random(f64::from(loss) / 100.0), ..wide() };
        let mut call = Call::new(demand as u64, network);
        call.run_until(s(60));
        let reached = call.settles(s(0), |s| s.estimate_bps as f64 > 0.8 * demand);

        print(&format!("{loss} % random loss"), &call, 20, 60, demand, reached);
        let (estimate, ..) = call.summary(s(20), s(60));
        assert!(estimate > 0.8 * demand, "{loss} %: {estimate}");
    }
}

#[test]
fn loss_that_sets_in_during_a_call_does_not_lower_the_estimate_for_long() {
    for loss in [10, 30, 50, 70] {
        let demand = 1_500_000.0;
        let mut call = Call::new(demand as u64, wide());
        let lossy = NetemConfig { loss: Loss::Random(f64::from(loss) / 100.0), ..wide() };
        call.schedule(&[(s(20), lossy)]);
        call.run_until(s(60));
        let reached = call.settles(s(22), |s| s.estimate_bps as f64 > 0.8 * demand);

        print(&format!("{loss} % random loss from 20 s on"), &call, 25, 60, demand, reached);
        let (estimate, ..) = call.summary(s(25), s(60));
        assert!(estimate > 0.8 * demand, "{loss} %: {estimate}");
    }
}

#[test]
fn congestion_backs_off_even_where_delays_hardly_show_it() {
    for (rate_bps, queue, loss) in [(1_000_000, 20, 0), (500_000, 30, 0), (1_000_000, 60, 30)] {
        let chance = f64::from(loss) / 100.0;
        let random = if loss == 0 { Loss::None } else { Loss::Random(chance) };
        let mut call = Call::new(2_500_000, NetemConfig { loss: random, ..wide() });
        let narrow = NetemConfig { loss: random, ..link(rate_bps, ms(queue)) };
        call.schedule(&[(s(20), narrow)]);
        call.run_until(s(60));
        let before = call.down().counters();
        // What passes the lossy part before the link.
        let capacity = rate_bps as f64;
        let fits = capacity / (1.0 - chance) * 1.15;
        let fell = call.settles(s(20), |s| (s.estimate_bps as f64) < fits);
        let name =
            format!("falls to {} kb/s, queue of {queue} ms, {loss} % loss", rate_bps / 1_000);
        print(&name, &call, 30, 60, capacity, fell);
        let (estimate, received, _) = call.summary(s(30), s(60));
        let full = before.queue_full as f64 / before.pushed as f64;
        assert!(fell.is_some_and(|at| at < s(5)), "{name}: {fell:?}");
        assert!(estimate < fits, "{name}: {estimate}");
        assert!(received > 0.5 * capacity, "{name}: {received}");
        assert!(full < 0.10, "{name}: {full} of the packets found the queue full");
    }
}

#[test]
fn feedback_may_get_lost() {
    for loss in [50, 70] {
        // When the rate falls between two reports that arrive is chance: five times of it.
        let runs = (0..5).map(|phase| feedback_gets_lost(loss, s(20) + ms(137 * phase)));
        let (mut falls, mut queues): (Vec<_>, Vec<_>) = runs.unzip();
        falls.sort_unstable();
        queues.sort_unstable();
        println!("{loss} % of the feedback lost: falls take {falls:?}, queues {queues:?}");
        assert!(falls[2] < s(4) && falls[4] < s(8), "{falls:?}");
        assert!(queues[2] < ms(250), "{queues:?}");
    }
}

/// The rate falls to 500 kb/s at a time; returns how long the estimate takes to follow, and how
/// long the queue is then.
fn feedback_gets_lost(loss: u64, at: Duration) -> (Duration, Duration) {
    let mut call = Call::new(2_500_000, link(2_000_000, ms(300)));
    let up = NetemConfig { loss: Loss::Random(loss as f64 / 100.0), ..wide() };
    call.world.endpoints[SUBSCRIBER].up.set_config(up);
    call.schedule(&[(at, link(500_000, ms(300)))]);
    call.run_until(s(50));
    let fell = call.settles(at, |s| s.estimate_bps <= 500_000);
    let name = format!("{loss} % of the feedback lost");
    print(&name, &call, 5, 20, 2e6, call.settles(s(0), |s| s.estimate_bps > 1_400_000));
    print(&format!("{name}: falls to 500 kb/s"), &call, 28, 50, 500e3, fell);
    let (_, received, _) = call.summary(s(8), s(20));
    assert!(received > 0.6 * 2e6, "{received}");
    let (_, received, queue) = call.summary(s(28), s(50));
    assert!(received > 0.6 * 500e3, "{received}");
    (fell.unwrap_or(Duration::MAX), queue)
}

#[test]
fn an_outage_is_survived() {
    let mut call = Call::new(1_500_000, link(2_000_000, ms(300)));
    let dead = NetemConfig { loss: Loss::Random(1.0), ..link(2_000_000, ms(300)) };
    let start = call.start;
    call.schedule(&[(s(20), dead), (s(50), link(2_000_000, ms(300)))]);
    let up = [(start + s(20), dead), (start + s(50), wide())];
    call.world.endpoints[SUBSCRIBER].up.set_schedule(up);
    call.run_until(s(70));
    let (during, ..) = call.summary(s(40), s(50));
    let back = call.settles(s(50), |s| s.estimate_bps > 1_200_000);
    print("30 s outage: afterwards", &call, 51, 70, 1.5e6, back);
    assert!(during <= 110e3, "{during}");
    assert!(back.is_some_and(|at| at < s(6)), "{back:?}");
}

#[test]
fn bursts_are_spread_and_audio_does_not_wait() {
    let mut call = Call::new(1_000_000, link(1_200_000, ms(400)));
    call.run_until(s(15));
    let usual = call.world.client(0).media.tracks[0].config.packets_per_frame;
    let before = call.down().counters().queue_full;
    let mut longest = 0.0_f64;
    for _ in 0..5 {
        // A keyframe of 40 packets.
        call.world.client(0).media.tracks[0].config.packets_per_frame = 40;
        call.world.run(ms(34));
        call.world.client(0).media.tracks[0].config.packets_per_frame = usual;
        call.world.run(ms(16));
        let stats = call.world.snapshot();
        let stats = stats.transports.iter().find(|t| t.transport == TRANSPORT).unwrap();
        longest = longest.max(stats.pacer_queue_ms);
        let end = call.world.now - call.start + s(3);
        call.run_until(end);
    }
    assert!(longest > 30.0 && longest < 500.0, "{longest}");
    assert_eq!(call.down().counters().queue_full, before);
    assert_eq!(call.world.dropped(DropReason::PacerOverflow), 0);
    // Numbers are given when a packet leaves: probes, queued and audio packets are in one order.
    assert_eq!(call.world.client(SUBSCRIBER).media.unexpected_numbers, 0);
}
