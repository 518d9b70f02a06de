//! A bad network in real time: a thread that carries packets between two descriptors, such as TUN
//! devices in two network namespaces, through [`Netem`].
//!
//! Senders never notice a drop: it happens behind the device they send to, as on a real path. What
//! happens to a packet depends on its number and the seed alone, but for a full queue.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use media_core::netem::{Netem, NetemConfig, NetemCounters};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest sleep: the end and new steps have no descriptor to wait for.
const LONGEST_WAIT: Duration = Duration::from_millis(5);
/// How often [`Path::begin`] looks whether the thread has taken its steps.
const POLL: Duration = Duration::from_micros(200);
/// Packets taken from one side before the other and the timers.
const PACKETS_PER_TURN: usize = 64;
/// More than any packet of a device with an MTU of 1,500.
const LARGEST_PACKET: usize = 2_048;
/// What is in flight is bounded: so many packets that wait for their time drop the next.
const MOST_IN_FLIGHT: u64 = 50_000;
/// Tells the two directions' random numbers apart.
const OTHER_DIRECTION: u64 = 0x5bd1_e995_9d1b_54a3;

/// Classes of packets that are counted apart: RTP by payload type, then these.
pub const RTCP: usize = 128;
/// UDP that is neither RTP nor RTCP: STUN, DTLS.
pub const OTHER_UDP: usize = 129;
/// Everything that is not UDP.
pub const NOT_UDP: usize = 130;
const CLASSES: usize = 131;

/// Settings of a [`Path`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PathConfig {
    /// From the second end to the first.
    pub down: NetemConfig,
    /// From the first end to the second.
    pub up: NetemConfig,
    /// Both ways for what is not UDP; `None`: the same as UDP, in one queue with it.
    pub others: Option<NetemConfig>,
    /// Of all random numbers.
    pub seed: u64,
}

/// Packets and bytes of one class, IP header included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassCounters {
    /// Given to the path.
    pub offered_packets: u64,
    /// Bytes of these.
    pub offered_bytes: u64,
    /// Given to the receiver.
    pub delivered_packets: u64,
    /// Bytes of these.
    pub delivered_bytes: u64,
}

/// What became of the packets of one direction.
#[derive(Debug, Clone)]
pub struct PathCounters {
    /// Of the impaired packets.
    pub netem: NetemCounters,
    /// Packets the receiving device did not take, or beyond what may be in flight.
    pub refused: u64,
    /// By class: RTP payload type, [`RTCP`], [`OTHER_UDP`], [`NOT_UDP`].
    pub classes: Box<[ClassCounters; CLASSES]>,
}

impl Default for PathCounters {
    fn default() -> PathCounters {
        let classes = Box::new([ClassCounters::default(); CLASSES]);
        PathCounters { netem: NetemCounters::default(), refused: 0, classes }
    }
}

/// Changes of one direction, each after a time.
pub type Steps = Vec<(Duration, NetemConfig)>;

#[derive(Default)]
struct Shared {
    down: PathCounters,
    up: PathCounters,
    steps: Option<(Steps, Steps)>,
}

/// A running path. Dropping it ends its thread.
pub struct Path {
    shared: Arc<Mutex<Shared>>,
    is_over: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Path {
    /// Starts carrying packets between two descriptors, which are duplicated; reads and writes are
    /// of whole packets.
    ///
    /// # Errors
    /// A descriptor is not open, or the kernel refuses the thread.
    pub fn start(ends: [RawFd; 2], config: &PathConfig) -> io::Result<Path> {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let is_over = Arc::new(AtomicBool::new(false));
        let [first, second] = [own(ends[0])?, own(ends[1])?];
        let mut worker = Worker {
            ends: [first, second],
            lanes: [
                Lane::new(config.up, config.others, config.seed),
                Lane::new(config.down, config.others, config.seed ^ OTHER_DIRECTION),
            ],
            shared: shared.clone(),
            is_over: is_over.clone(),
        };
        let thread = thread::Builder::new().name("path".into()).spawn(move || worker.run())?;
        Ok(Path { shared, is_over, thread: Mutex::new(Some(thread)) })
    }

    /// Changes the directions from now on: the configurations at their time, counted from now.
    /// Steps that were not taken yet are forgotten. Returns when the next packet will be treated
    /// so.
    pub fn begin(&self, down: Steps, up: Steps) {
        self.lock().steps = Some((down, up));
        while self.lock().steps.is_some() && !self.is_over.load(Ordering::Acquire) {
            thread::sleep(POLL);
        }
    }

    /// What became of the packets so far: down, up.
    pub fn report(&self) -> (PathCounters, PathCounters) {
        let shared = self.lock();
        (shared.down.clone(), shared.up.clone())
    }

    /// Ends the thread. Idempotent.
    pub fn close(&self) {
        self.is_over.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It only panics on a bug, which was reported then.
            let _ = thread.join();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.close();
    }
}

fn own(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: a call without pointers; a number that is not open is refused.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor and nobody else knows it.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    rustix::io::ioctl_fionbio(&copy, true)?;
    Ok(copy)
}

/// One direction.
struct Lane {
    impaired: Netem<Vec<u8>>,
    others: Option<Netem<Vec<u8>>>,
    counters: PathCounters,
}

impl Lane {
    fn new(config: NetemConfig, others: Option<NetemConfig>, seed: u64) -> Lane {
        Lane {
            impaired: Netem::new(config, seed),
            others: others.map(|config| Netem::new(config, seed.rotate_left(32))),
            counters: PathCounters::default(),
        }
    }

    fn push(&mut self, now: Instant, packet: Vec<u8>) {
        let class = class_of(&packet);
        let entry = &mut self.counters.classes[class];
        entry.offered_packets += 1;
        entry.offered_bytes += packet.len() as u64;
        let netem = match &mut self.others {
            Some(others) if class == NOT_UDP => others,
            _ => &mut self.impaired,
        };
        let counted = netem.counters();
        let gone = counted.delivered + counted.lost + counted.queue_full;
        if counted.pushed + counted.duplicated - gone >= MOST_IN_FLIGHT {
            self.counters.refused += 1;
            return;
        }
        netem.push(now, packet);
    }

    fn next_timeout(&self) -> Option<Instant> {
        let others = self.others.as_ref().and_then(Netem::next_timeout);
        self.impaired.next_timeout().into_iter().chain(others).min()
    }

    /// Hands over what has arrived by `now`.
    fn deliver(&mut self, now: Instant, to: &OwnedFd) {
        loop {
            let impaired: Option<Vec<u8>> = self.impaired.pop(now);
            let next = impaired.or_else(|| self.others.as_mut().and_then(|netem| netem.pop(now)));
            let Some(packet) = next else { return };
            if rustix::io::write(to, &packet).is_err() {
                self.counters.refused += 1;
                continue;
            }
            let entry = &mut self.counters.classes[class_of(&packet)];
            entry.delivered_packets += 1;
            entry.delivered_bytes += packet.len() as u64;
        }
    }
}

struct Worker {
    ends: [OwnedFd; 2],
    /// The first lane begins at the first end.
    lanes: [Lane; 2],
    shared: Arc<Mutex<Shared>>,
    is_over: Arc<AtomicBool>,
}

impl Worker {
    fn run(&mut self) {
        while !self.is_over.load(Ordering::Acquire) {
            self.exchange();
            self.wait();
            for side in 0..2 {
                self.receive(side);
            }
            for side in 0..2 {
                self.lanes[side].deliver(Instant::now(), &self.ends[1 - side]);
            }
        }
    }

    /// Takes new steps and shows the counters.
    fn exchange(&mut self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((down, up)) = shared.steps.take() {
            for (lane, steps) in self.lanes.iter_mut().zip([up, down]) {
                lane.impaired
                    .set_schedule(steps.into_iter().map(|(after, config)| (now + after, config)));
            }
        }
        for lane in &mut self.lanes {
            lane.counters.netem = lane.impaired.counters();
        }
        shared.up.clone_from(&self.lanes[0].counters);
        shared.down.clone_from(&self.lanes[1].counters);
    }

    fn wait(&self) {
        let due = self.lanes.iter().filter_map(Lane::next_timeout).min();
        let left = due.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(Instant::now()));
        let timeout = Timespec::try_from(left.min(LONGEST_WAIT)).expect("a short time");
        let mut fds =
            [PollFd::new(&self.ends[0], PollFlags::IN), PollFd::new(&self.ends[1], PollFlags::IN)];
        // Interrupted or not: the loop looks at everything again.
        let _ = poll(&mut fds, Some(&timeout));
    }

    fn receive(&mut self, side: usize) {
        let mut buffer = [0; LARGEST_PACKET];
        for _ in 0..PACKETS_PER_TURN {
            match rustix::io::read(&self.ends[side], &mut buffer) {
                Ok(length) if length > 0 => {
                    self.lanes[side].push(Instant::now(), buffer[..length].to_vec());
                }
                _ => return,
            }
        }
    }
}

/// Where an IP packet is counted: an index into [`PathCounters::classes`].
pub fn class_of(packet: &[u8]) -> usize {
    let Some(datagram) = udp_payload(packet) else { return NOT_UDP };
    match datagram {
        [128..=191, 192..=223, ..] => RTCP,
        [128..=191, second, ..] => usize::from(second & 0x7f),
        _ => OTHER_UDP,
    }
}

/// What is in a UDP packet; `None` for anything else.
fn udp_payload(packet: &[u8]) -> Option<&[u8]> {
    const UDP: u8 = 17;
    const UDP_HEADER: usize = 8;
    let header = match packet.first()? >> 4 {
        4 if *packet.get(9)? == UDP => usize::from(packet[0] & 0xf) * 4,
        6 if *packet.get(6)? == UDP => 40,
        _ => return None,
    };
    packet.get(header + UDP_HEADER..)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixDatagram;

    use media_core::netem::Loss;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn packets_are_counted_by_what_is_in_them() {
        let ipv6 = |next: u8, payload: &[u8]| {
            let mut packet = vec![0; 48];
            (packet[0], packet[6]) = (0x60, next);
            packet.extend(payload);
            packet
        };
        let ipv4 = |words: u8, payload: &[u8]| {
            let mut packet = vec![0; usize::from(words) * 4 + 8];
            (packet[0], packet[9]) = (0x40 | words, 17);
            packet.extend(payload);
            packet
        };
        let table: [(&str, Vec<u8>, usize); 15] = [
            ("nothing", vec![], NOT_UDP),
            ("one byte", vec![0x45], NOT_UDP),
            ("a header without its end", vec![0x45; 9], NOT_UDP),
            ("neither version", vec![0x55; 60], NOT_UDP),
            ("TCP", packet(6, 0), NOT_UDP),
            ("no room for UDP's header", ipv4(5, &[])[..27].to_vec(), NOT_UDP),
            ("options beyond the end", ipv4(15, &[])[..40].to_vec(), NOT_UDP),
            ("an empty datagram", ipv4(5, &[]), OTHER_UDP),
            ("a single byte of RTP", ipv4(5, &[0x80]), OTHER_UDP),
            ("STUN", ipv4(5, &[0, 1]), OTHER_UDP),
            ("RTP", ipv4(5, &[0x80, 111]), 111),
            ("RTP with its marker, behind options", ipv4(6, &[0x90, 0x80 | 96]), 96),
            ("RTCP", ipv4(5, &[0x80, 200]), RTCP),
            ("RTP over IPv6", ipv6(17, &[0x80, 63]), 63),
            ("ICMP of IPv6", ipv6(58, &[0x80, 63]), NOT_UDP),
        ];
        for (name, packet, class) in table {
            assert_eq!(class_of(&packet), class, "{name}");
        }
    }

    #[test]
    fn mutations_of_packets_are_counted_somewhere() {
        let mut seed = 1_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize
        };
        for _ in 0..50_000 {
            let mut mutated = packet(17, 7);
            for _ in 0..1 + next() % 4 {
                let index = next() % mutated.len();
                mutated[index] = next() as u8;
            }
            mutated.truncate(next() % (mutated.len() + 1));
            assert!(class_of(&mutated) < CLASSES);
        }
    }

    /// An IPv4 packet of this protocol with a payload that begins like RTP and ends in a number.
    fn packet(protocol: u8, number: u32) -> Vec<u8> {
        let mut packet = vec![0; 28];
        packet[0] = 0x45;
        packet[9] = protocol;
        packet.extend([0x80, 111]);
        packet.extend(number.to_be_bytes());
        packet
    }

    fn number(packet: &[u8]) -> u32 {
        u32::from_be_bytes(packet[packet.len() - 4..].try_into().unwrap())
    }

    fn lossy(percent: f64) -> NetemConfig {
        NetemConfig { loss: Loss::Random(percent / 100.0), ..Default::default() }
    }

    /// Sends numbered packets through a path, each when the one before was counted.
    fn carry(path: &Path, from: &UnixDatagram, count: u32) {
        let before = path.report().1.netem.pushed;
        for index in 0..count {
            from.send(&packet(17, index)).unwrap();
            let end = Instant::now() + PATIENCE;
            while path.report().1.netem.pushed <= before + u64::from(index) {
                assert!(Instant::now() < end, "packet {index} was not taken");
                thread::yield_now();
            }
        }
    }

    fn ends() -> (UnixDatagram, UnixDatagram, [UnixDatagram; 2]) {
        let (client, first) = UnixDatagram::pair().unwrap();
        let (server, second) = UnixDatagram::pair().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        (client, server, [first, second])
    }

    #[test]
    fn the_same_packets_are_lost_as_in_virtual_time() {
        let config =
            PathConfig { down: NetemConfig::default(), up: lossy(50.0), others: None, seed: 7 };
        let (client, server, inner) = ends();
        let path = Path::start([inner[0].as_raw_fd(), inner[1].as_raw_fd()], &config).unwrap();
        carry(&path, &client, 200);
        let mut virtual_time: Netem<Vec<u8>> = Netem::new(config.up, config.seed);
        let now = Instant::now();
        let mut expected: Vec<u32> = Vec::new();
        for index in 0..200 {
            virtual_time.push(now, packet(17, index));
            let left: Option<Vec<u8>> = virtual_time.pop(now);
            expected.extend(left.map(|packet| number(&packet)));
        }
        let mut buffer = [0; 100];
        let arrived: Vec<u32> = expected
            .iter()
            .map(|_| {
                let length = server.recv(&mut buffer).unwrap();
                number(&buffer[..length])
            })
            .collect();
        assert_eq!(arrived, expected);
        path.close();
        let (down, up) = path.report();
        assert_eq!(up.classes[111].offered_packets, 200);
        assert_eq!(up.classes[111].delivered_packets, expected.len() as u64);
        assert_eq!(up.classes[111].delivered_bytes, expected.len() as u64 * 34);
        assert_eq!(up.netem.lost, 200 - expected.len() as u64);
        assert_eq!(down.netem.pushed, 0);
    }

    #[test]
    fn other_protocols_have_a_path_of_their_own_where_told_so() {
        for (others, arrives) in [(Some(NetemConfig::default()), true), (None, false)] {
            let config = PathConfig { down: lossy(100.0), up: lossy(100.0), others, seed: 1 };
            let (client, server, inner) = ends();
            let path = Path::start([inner[0].as_raw_fd(), inner[1].as_raw_fd()], &config).unwrap();
            server.send(&packet(6, 5)).unwrap();
            let end = Instant::now() + PATIENCE;
            while path.report().0.classes[NOT_UDP].offered_packets == 0 {
                assert!(Instant::now() < end, "the packet was not taken");
                thread::yield_now();
            }
            if arrives {
                let mut buffer = [0; 100];
                let length = client.recv(&mut buffer).unwrap();
                assert_eq!(number(&buffer[..length]), 5);
            }
            path.close();
            assert_eq!(path.report().0.netem.lost, u64::from(!arrives));
        }
    }

    #[test]
    fn steps_begin_when_told() {
        let config = PathConfig {
            down: NetemConfig::default(),
            up: NetemConfig::default(),
            others: None,
            seed: 1,
        };
        let (client, _server, inner) = ends();
        let path = Path::start([inner[0].as_raw_fd(), inner[1].as_raw_fd()], &config).unwrap();
        carry(&path, &client, 5);
        assert_eq!(path.report().1.netem.lost, 0);
        path.begin(Vec::new(), vec![(Duration::ZERO, lossy(100.0))]);
        carry(&path, &client, 5);
        assert_eq!(path.report().1.netem.lost, 5);
    }

    #[test]
    fn packets_are_counted_by_what_they_carry() {
        let udp = |payload: &[u8]| [&packet(17, 0)[..28], payload].concat();
        let mut version_6 = vec![0; 48];
        version_6[0] = 0x60;
        version_6[6] = 17;
        version_6.extend([0x90, 0xe3]);
        let table = [
            (udp(&[0x80, 111]), 111),
            (udp(&[0x80, 0xef]), 111),
            (udp(&[0x81, 200]), RTCP),
            (udp(&[22, 254]), OTHER_UDP),
            (udp(&[]), OTHER_UDP),
            (udp(&[0x80]), OTHER_UDP),
            (version_6, 99),
            (packet(6, 0), NOT_UDP),
            (packet(17, 0)[..20].to_vec(), NOT_UDP),
            (vec![], NOT_UDP),
            (vec![0x45], NOT_UDP),
            (vec![0x60; 7], NOT_UDP),
        ];
        for (packet, class) in table {
            assert_eq!(class_of(&packet), class, "{packet:02x?}");
        }
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_refused() {
        let config = PathConfig { down: lossy(0.0), up: lossy(0.0), others: None, seed: 0 };
        assert!(Path::start([-1, -1], &config).is_err());
    }
}
