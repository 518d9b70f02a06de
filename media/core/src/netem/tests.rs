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
