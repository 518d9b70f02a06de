use super::*;

type Packet = Vec<u8>;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// Sends `count` numbered packets of `size` bytes, one each `gap`; returns `(number, arrival)`.
fn run(
    config: NetemConfig,
    seed: u64,
    count: u32,
    size: usize,
    gap: Duration,
) -> (Vec<(u32, Duration)>, NetemCounters) {
    let start = Instant::now();
    let mut path: Netem<Packet> = Netem::new(config, seed);
    for number in 0..count {
        let mut packet = vec![0; size];
        packet[..4].copy_from_slice(&number.to_be_bytes());
        path.push(start + gap * number, packet);
    }
    let mut arrivals = Vec::new();
    while let Some(due) = path.next_timeout() {
        assert_eq!(path.pop(due - Duration::from_nanos(1)), None);
        let packet = path.pop(due).unwrap();
        let number = u32::from_be_bytes(packet[..4].try_into().unwrap());
        arrivals.push((number, due - start));
    }
    (arrivals, path.counters())
}

#[test]
fn a_perfect_path_only_delays() {
    let config = NetemConfig { delay: ms(30), ..Default::default() };
    let (arrivals, counters) = run(config, 1, 100, 100, ms(10));
    for (index, (number, arrival)) in arrivals.iter().enumerate() {
        assert_eq!((*number, *arrival), (index as u32, ms(30 + 10 * index as u64)));
    }
    assert_eq!(counters, NetemCounters { pushed: 100, delivered: 100, ..Default::default() });
}

#[test]
fn random_loss_hits_its_share_and_repeats_with_the_seed() {
    let config = NetemConfig { loss: Loss::Random(0.7), ..Default::default() };
    let (first, counters) = run(config, 5, 20_000, 10, ms(1));
    assert!((counters.lost as f64 / 20_000.0 - 0.7).abs() < 0.01, "{counters:?}");
    assert_eq!(run(config, 5, 20_000, 10, ms(1)).0, first);
    assert_ne!(run(config, 6, 20_000, 10, ms(1)).0, first);
}

#[test]
fn bursts_have_the_configured_mean_length() {
    let loss = Loss::GilbertElliott { to_bad: 0.02, to_good: 0.1, good: 0.0, bad: 1.0 };
    let config = NetemConfig { loss, ..Default::default() };
    let (arrivals, counters) = run(config, 9, 100_000, 10, ms(1));
    let bursts = arrivals.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1).count();
    let mean = counters.lost as f64 / bursts as f64;
    assert!((mean - 10.0).abs() < 0.5, "mean burst of {mean}");
    let share = counters.lost as f64 / 100_000.0;
    assert!((share - 0.02 / 0.12).abs() < 0.02, "loss of {share}");
}

#[test]
fn jitter_stays_in_its_range_and_keeps_the_order() {
    let config = NetemConfig { delay: ms(50), jitter: ms(40), ..Default::default() };
    let (arrivals, _) = run(config, 3, 1_000, 10, ms(5));
    for (index, (number, arrival)) in arrivals.iter().enumerate() {
        assert_eq!(*number, index as u32);
        let delay = *arrival - ms(5) * *number;
        assert!(delay >= ms(50) && delay <= ms(90), "{delay:?}");
    }
}

#[test]
fn held_back_packets_are_overtaken() {
    let config = NetemConfig { reorder: 0.1, reorder_delay: ms(25), ..Default::default() };
    let (arrivals, _) = run(config, 3, 1_000, 10, ms(10));
    let overtaken = arrivals.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
    assert_eq!(arrivals.len(), 1_000);
    assert!((60..=130).contains(&overtaken), "{overtaken}");
}

#[test]
fn duplicates_arrive_and_are_counted() {
    let config = NetemConfig { duplicate: 0.2, ..Default::default() };
    let (arrivals, counters) = run(config, 4, 1_000, 10, ms(1));
    assert_eq!(arrivals.len() as u64, 1_000 + counters.duplicated);
    assert!((150..=250).contains(&counters.duplicated));
}

#[test]
fn the_link_sends_at_its_rate_and_drops_beyond_its_queue() {
    // 1,000 bytes take 10 ms; one each 5 ms is twice the rate.
    let config =
        NetemConfig { rate_bps: 800_000, queue_bytes: 5_000, delay: ms(1), ..Default::default() };
    let (arrivals, counters) = run(config, 1, 200, 1_000, ms(5));
    assert_eq!(arrivals.len() as u64 + counters.queue_full, 200);
    assert!((95..=105).contains(&counters.queue_full), "{counters:?}");
    for pair in arrivals.windows(2) {
        assert!(pair[1].1 - pair[0].1 >= ms(10));
    }
    let longest = arrivals.iter().map(|(number, at)| *at - ms(5) * *number).max().unwrap();
    assert!(longest <= ms(51), "{longest:?}");
}

#[test]
fn jitter_may_reorder() {
    let config = NetemConfig { jitter: ms(200), jitter_reorders: true, ..NetemConfig::default() };
    let (arrivals, _) = run(config, 3, 1_000, 10, ms(5));
    let overtaken = arrivals.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
    assert!(overtaken > 300, "{overtaken}");
    for (number, arrival) in arrivals {
        assert!(arrival - ms(5) * number <= ms(200));
    }
}

#[test]
fn a_queue_limited_in_time_never_holds_longer() {
    let config = NetemConfig { rate_bps: 800_000, queue_delay: ms(60), ..Default::default() };
    let (arrivals, counters) = run(config, 1, 400, 1_000, ms(5));
    assert!((180..=220).contains(&counters.queue_full), "{counters:?}");
    let longest = arrivals.iter().map(|(number, at)| *at - ms(5) * *number).max().unwrap();
    assert!(longest > ms(60) && longest <= ms(70), "{longest:?}");
}

#[test]
fn the_rate_follows_the_schedule() {
    let start = Instant::now();
    let at_rate = |rate_bps| NetemConfig { rate_bps, queue_delay: ms(10), ..Default::default() };
    let mut path: Netem<Packet> = Netem::new(at_rate(800_000), 1);
    path.set_schedule([(start + ms(1_000), at_rate(200_000)), (start + ms(2_000), at_rate(0))]);
    let mut delivered = [0_u32; 3];
    for step in 0..3_000 {
        let now = start + ms(step);
        path.push(now, vec![0; 200]);
        while path.pop(now).is_some() {
            delivered[(step / 1_000) as usize] += 200 * 8;
        }
    }
    for (delivered, expected) in delivered.into_iter().zip([800_000, 200_000, 1_600_000]) {
        assert!(delivered.abs_diff(expected) < expected / 8, "{delivered} of {expected}");
    }
}

/// Shares 2 Mb/s for 20 s with a constant sender of `own_bps`; returns what the other flow got.
fn share_with(flow: Flow, own_bps: f64) -> (f64, NetemCounters) {
    let start = Instant::now();
    let config =
        NetemConfig { rate_bps: 2_000_000, queue_delay: ms(200), ..NetemConfig::default() };
    let mut path: Netem<Packet> = Netem::new(config, 1);
    let other = path.add_flow(flow, start, start + ms(20_000));
    let gap = Duration::from_secs_f64(8_000.0 / own_bps);
    for step in 0..(20.0 / gap.as_secs_f64()) as u32 {
        path.push(start + gap * step, vec![0; 1_000]);
        assert!(path.queueing() <= ms(210));
    }
    (path.flow_bytes(other) as f64 * 8.0 / 20.0, path.counters())
}

#[test]
fn a_constant_flow_takes_its_share() {
    let flow = Flow::Constant { rate_bps: 500_000, packet_bytes: 1_200 };
    let (rate, counters) = share_with(flow, 1_000_000.0);
    assert!((rate - 500_000.0).abs() < 10_000.0, "{rate}");
    assert_eq!((counters.queue_full, counters.others_queue_full), (0, 0));
}

#[test]
fn tcp_fills_what_is_left_and_backs_off_at_loss() {
    let flow = Flow::Tcp { round_trip: ms(40), packet_bytes: 1_200 };
    let (rate, counters) = share_with(flow, 800_000.0);
    assert!((1_000_000.0..1_300_000.0).contains(&rate), "{rate}");
    assert!(counters.others_queue_full > 3, "{counters:?}");
    let lost = counters.others_queue_full as f64 * 1_200.0 * 8.0 / 20.0;
    assert!(lost < 0.03 * rate, "{counters:?}");
}
