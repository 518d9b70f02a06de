//! Estimate, layers and a publisher that stops what nobody wants, all at once: whatever the
//! network did, the picture is back soon after it is well.

mod support;

use std::time::{Duration, Instant};

use media_core::api::{ExtensionId, ExtensionKind, MediaKind};
use media_core::netem::{Loss, NetemConfig};
use support::media::TrackConfig;
use support::simulcast::*;
use support::{World, good_network};

const SUBSCRIBER_TRANSPORT: u64 = 101;
const STEP: Duration = Duration::from_millis(50);

fn s(value: u64) -> Duration {
    Duration::from_secs(value)
}

fn link(rate_bps: u64) -> NetemConfig {
    NetemConfig {
        delay: Duration::from_millis(20),
        rate_bps,
        queue_delay: Duration::from_millis(300),
        ..good_network()
    }
}

/// A call of one publisher with three encodings and speech, and one subscriber.
struct Call {
    world: World,
    publisher: SlowPublisher,
}

impl Call {
    fn new() -> Call {
        let mut world = simulcast(3, 1, 1);
        world.feed_back(1);
        world.publish(0, 12, TrackConfig::audio(9_500));
        world.subscribe(1, 31, 12, MediaKind::Audio, 9_000);
        world.set_network(1, link(20_000_000), link(20_000_000));
        Call { world, publisher: SlowPublisher::default() }
    }

    fn run(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            self.world.run(STEP);
            self.publisher.follow(&mut self.world);
        }
    }

    /// Seconds from `since` until no picture is more than half a second after the one before,
    /// for five seconds.
    fn back_after(&self, since: Instant) -> f64 {
        let got = inbound(&self.world, 0).got.values();
        let pictures = got.filter(|got| !got.is_empty && got.at >= since);
        let mut at: Vec<Instant> = pictures.map(|got| got.at).collect();
        at.sort();
        let mut begun = None;
        for pair in at.windows(2) {
            if pair[1] - pair[0] > Duration::from_millis(500) {
                begun = None;
            } else if pair[1] - *begun.get_or_insert(pair[0]) >= s(5) {
                break;
            }
        }
        begun.map_or(f64::INFINITY, |begun| (begun - since).as_secs_f64())
    }
}

#[test]
fn a_picture_is_back_soon_after_the_network_is() {
    let good = link(20_000_000);
    let lossy = NetemConfig { loss: Loss::Random(0.7), ..good };
    let dead = NetemConfig { loss: Loss::Random(1.0), ..good };
    for (name, up, down) in [
        ("30 kb/s down", good, link(30_000)),
        ("80 kb/s down", good, link(80_000)),
        ("30 kb/s both ways", link(30_000), link(30_000)),
        ("70 % loss both ways", lossy, lossy),
        ("nothing comes up", dead, good),
        ("nothing goes down", good, dead),
        ("nothing at all", dead, dead),
    ] {
        // Consent to send ends after 30 s.
        for seconds in [5, 25] {
            let mut call = Call::new();
            call.run(s(15));
            call.world.set_network(1, up, down);
            call.run(s(seconds));
            call.world.set_network(1, link(2_000_000), link(2_000_000));
            let since = call.world.now;
            call.run(s(40));
            let back_s = call.back_after(since);
            println!("{name} for {seconds} s: pictures again after {back_s:.1} s");
            assert!(back_s < 5.0, "{name} for {seconds} s: {back_s:.1} s");
        }
    }
}

#[test]
fn an_offer_that_takes_the_packet_numbers_away_in_a_probe_stops_padding() {
    let mid = [ExtensionId { kind: ExtensionKind::Mid, id: 9 }];
    for at in [200, 500, 800, 1_200, 2_000, 3_000] {
        let mut call = Call::new();
        call.run(Duration::from_millis(at));
        call.world.set_extensions(1, &mid);
        let before = call.world.snapshot().counters.padding_out;
        // Receiver reports go on, each of which may begin a probe.
        call.run(s(10));
        let padded = call.world.snapshot().counters.padding_out - before;
        assert!(padded < 100, "{padded} packets of padding after {at} ms");
        assert!(call.back_after(call.world.start) < 5.0, "after {at} ms");
    }
}

#[test]
fn without_packet_numbers_nothing_is_left_of_the_estimate() {
    let numbered = [(ExtensionKind::Mid, 9), (ExtensionKind::TransportCc, 5)];
    let numbered = numbered.map(|(kind, id)| ExtensionId { kind, id });
    let mut call = Call::new();
    let estimate = |call: &mut Call| {
        let transports = call.world.snapshot().transports;
        transports.iter().find(|t| t.transport == SUBSCRIBER_TRANSPORT).unwrap().clone()
    };
    call.run(s(10));
    let before = estimate(&mut call).estimate_bps.expect("an estimate");
    assert!(before > 1_500_000, "{before}");
    call.world.set_extensions(1, &numbered[..1]);
    // Feedback of before is still under way.
    call.run(Duration::from_millis(150));
    let without = estimate(&mut call);
    assert_eq!(
        (without.estimate_bps, without.acked_bps, without.pacer_queue_ms),
        (None, None, 0.0)
    );
    // Reports of lost packets are all there is now.
    call.run(s(5));
    call.world.set_extensions(1, &numbered);
    call.run(s(10));
    let after = estimate(&mut call).estimate_bps.expect("an estimate");
    assert!(after > 1_500_000, "{after}");
    assert_eq!(call.world.client(1).media.unexpected_numbers, 0, "numbers go on");
    assert!(call.back_after(call.world.start) < 5.0);
}
