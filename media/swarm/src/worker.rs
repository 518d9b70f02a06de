//! The load generator's thread: sockets, timers, commands.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use media_core::api::MediaKind;
use media_core::ext::ExtensionMap;
use media_net::{Batch, Endpoint, Merging, Outbox};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::association::{Association, AssociationConfig};
use crate::histogram::DelayHistogram;
use crate::participant::{Arrived, Participant};
use crate::stream::{StreamConfig, Traffic};
use crate::swarm::{Report, Status};

/// Longest sleep: commands have no descriptor to wait for.
const LONGEST_WAIT: Duration = Duration::from_millis(2);
/// Batches taken from one socket before the next and the timers.
const BATCHES_PER_TURN: usize = 4;
/// Packets that leave with one call: few, so that they carry the time they leave at.
const FLUSH_AFTER: usize = 24;
/// Bursts sent before the sockets get their turn.
const BURSTS_PER_TURN: usize = 32;
/// Commands carried out before the sockets get their turn.
const COMMANDS_PER_TURN: usize = 4;

/// What the control side asks for.
pub(crate) enum Command {
    Connect {
        index: u32,
        address: IpAddr,
        server: SocketAddr,
        association: Box<AssociationConfig>,
        extensions: Box<ExtensionMap>,
        streams: Vec<StreamConfig>,
    },
    Load {
        participants: u32,
        /// Audio, video.
        traffic: [Traffic; 2],
        busy: bool,
    },
    Change {
        index: u32,
        change: Change,
    },
    Report(Sender<Report>),
    Statuses(Sender<Vec<Status>>),
}

/// What changes about a participant.
pub(crate) enum Change {
    Address(IpAddr),
    Loss(f64),
    Publish(StreamConfig),
    Silence { ssrc: u32, silent: bool },
    End,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// Checks, handshake, reports.
    Control,
    /// A burst of a stream, unless the load was changed since.
    Burst { stream: u8, load: u32 },
}

pub(crate) struct Worker {
    endpoints: Vec<Endpoint>,
    outboxes: Vec<Outbox>,
    batch: Batch,
    commands: Receiver<Command>,
    is_over: Arc<AtomicBool>,
    participants: Vec<Participant>,
    first_address: Option<IpAddr>,
    /// Addresses of those that moved.
    moved: HashMap<IpAddr, usize>,
    timers: BinaryHeap<Reverse<(Instant, u32, Due)>>,
    traffic: [Traffic; 2],
    active: u32,
    load: u32,
    is_busy: bool,
    sample: u32,
    until_sample: u32,
    totals: Report,
    random: u64,
    scratch: Vec<u8>,
}

impl Worker {
    pub(crate) fn new(
        endpoints: Vec<Endpoint>,
        commands: Receiver<Command>,
        is_over: Arc<AtomicBool>,
        sample: u32,
    ) -> Worker {
        Worker {
            outboxes: endpoints.iter().map(|_| Outbox::new()).collect(),
            endpoints,
            batch: Batch::new(Merging::Off),
            commands,
            is_over,
            participants: Vec::new(),
            first_address: None,
            moved: HashMap::new(),
            timers: BinaryHeap::new(),
            traffic: [Traffic::SILENCE; 2],
            active: 0,
            load: 0,
            is_busy: false,
            sample,
            until_sample: sample,
            totals: Report::default(),
            random: 0x9e37_79b9_7f4a_7c15,
            scratch: vec![0; 2_048],
        }
    }

    pub(crate) fn run(mut self) {
        while !self.is_over.load(Ordering::Acquire) {
            if !self.execute_commands() {
                return;
            }
            self.do_due();
            self.flush_all();
            for socket in 0..self.endpoints.len() {
                self.receive(socket);
            }
            self.flush_all();
            if !self.is_busy {
                self.wait();
            }
        }
    }

    /// Waits for a socket or the next timer.
    fn wait(&self) {
        let due = self.timers.peek().map(|Reverse((at, _, _))| *at);
        let left = due.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(Instant::now()));
        let timeout = Timespec::try_from(left.min(LONGEST_WAIT)).expect("a short time");
        let mut fds: Vec<PollFd<'_>> =
            self.endpoints.iter().map(|endpoint| PollFd::new(endpoint, PollFlags::IN)).collect();
        // Interrupted or not: the loop looks at everything again.
        let _ = poll(&mut fds, Some(&timeout));
    }

    /// Returns whether the control side is still there.
    fn execute_commands(&mut self) -> bool {
        for _ in 0..COMMANDS_PER_TURN {
            match self.commands.try_recv() {
                Ok(command) => self.execute(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    fn execute(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Connect { index, address, server, association, extensions, streams } => {
                let association = Association::new(*association, now);
                let mut participant =
                    Participant::new((address, server), association, *extensions, index);
                for stream in streams {
                    participant.publish(stream, now);
                }
                if self.participants.is_empty() {
                    self.first_address = Some(address);
                }
                self.participants.push(participant);
                self.timers.push(Reverse((now, self.participants.len() as u32 - 1, Due::Control)));
                self.start_streams(self.participants.len() - 1, now);
            }
            Command::Load { participants, traffic, busy } => {
                self.traffic = traffic;
                self.active = participants;
                self.is_busy = busy;
                self.load = self.load.wrapping_add(1);
                for index in 0..self.participants.len() {
                    self.start_streams(index, now);
                }
            }
            Command::Change { index, change } => self.change(index, change, now),
            Command::Statuses(to) => {
                let statuses = self.participants.iter().map(|one| status(one, now)).collect();
                // Who no longer waits needs none.
                let _ = to.send(statuses);
            }
            Command::Report(to) => {
                let report = self.report();
                // Who no longer waits needs no report.
                let _ = to.send(report);
            }
        }
    }

    fn change(&mut self, index: u32, change: Change, now: Instant) {
        let Some(participant) = self.participants.get_mut(index as usize) else { return };
        if participant.is_over {
            return;
        }
        match change {
            Change::Address(address) => {
                self.moved.remove(&participant.address);
                self.moved.insert(address, index as usize);
                participant.move_to(address, now);
                self.timers.push(Reverse((now, index, Due::Control)));
            }
            Change::Loss(loss) => participant.loss = loss,
            Change::Publish(stream) => {
                participant.publish(stream, now);
                let last = participant.streams.len() - 1;
                self.start_stream(index as usize, last, now);
            }
            Change::Silence { ssrc, silent } => participant.silence(ssrc, silent),
            Change::End => {
                self.moved.remove(&participant.address);
                participant.end();
            }
        }
    }

    fn report(&mut self) -> Report {
        let delays: DelayHistogram = std::mem::take(&mut self.totals.delays);
        let mut report = Report { delays, ..self.totals.clone() };
        for participant in &self.participants {
            report.connected += u32::from(participant.is_connected());
            if let Some(failure) = &participant.failure {
                report.failed += 1;
                report.failure.get_or_insert_with(|| failure.to_string());
            }
            report.keyframe_requests += participant.requests.keyframes;
            report.nacks += participant.requests.nacks;
            for receiver in &participant.receivers {
                report.streams_received += 1;
                report.packets_lost += receiver.expected().saturating_sub(receiver.packets);
            }
        }
        report
    }

    /// Spreads the first bursts of a participant's streams evenly over their interval.
    fn start_streams(&mut self, index: usize, now: Instant) {
        if index as u32 >= self.active {
            return;
        }
        for stream in 0..self.participants[index].streams.len() {
            self.start_stream(index, stream, now);
        }
    }

    fn start_stream(&mut self, index: usize, stream: usize, now: Instant) {
        if index as u32 >= self.active {
            return;
        }
        let Some(interval) = self.traffic_of(index, stream).interval() else { return };
        let at = now + interval.mul_f64(self.next_random());
        let due = Due::Burst { stream: stream as u8, load: self.load };
        self.timers.push(Reverse((at, index as u32, due)));
    }

    /// Whether a datagram of a participant gets lost.
    fn is_lost(&mut self, loss: f64) -> bool {
        loss > 0.0 && self.next_random() < loss
    }

    fn traffic_of(&self, index: usize, stream: usize) -> Traffic {
        let [audio, video] = self.traffic;
        match self.participants[index].streams[stream].config.kind {
            MediaKind::Audio => audio,
            MediaKind::Video => video,
        }
    }

    /// Xorshift; 0..1.
    fn next_random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn do_due(&mut self) {
        let now = Instant::now();
        for _ in 0..BURSTS_PER_TURN {
            match self.timers.peek() {
                Some(Reverse((at, _, _))) if *at <= now => {}
                _ => return,
            }
            let Some(Reverse((at, index, due))) = self.timers.pop() else { return };
            if self.participants[index as usize].is_over {
                continue;
            }
            match due {
                Due::Control => self.control(index, now),
                Due::Burst { stream, load } if load == self.load => {
                    let traffic = self.traffic_of(index as usize, stream.into());
                    self.burst(index as usize, stream.into(), &traffic);
                    if let Some(interval) = traffic.interval() {
                        // Later bursts keep their distance; what is long overdue is left out.
                        let next = (at + interval).max(now.checked_sub(interval).unwrap_or(now));
                        self.timers.push(Reverse((next, index, due)));
                    }
                }
                Due::Burst { .. } => {}
            }
        }
    }

    fn control(&mut self, index: u32, now: Instant) {
        let socket = index as usize % self.endpoints.len();
        // What is lost of a handful of datagrams at a time is lost together.
        let is_lost = self.is_lost(self.participants[index as usize].loss);
        let participant = &mut self.participants[index as usize];
        let (source, server) = (Some(participant.address), participant.server);
        let outbox = &mut self.outboxes[socket];
        let (endpoint, failures) = (&self.endpoints[socket], &mut self.totals.send_failures);
        participant.poll(now, unix_time(), |datagram| {
            if is_lost {
                return;
            }
            if !outbox.push(source, server, datagram) {
                outbox.flush(endpoint, |count, _| *failures += count as u64);
                outbox.push(source, server, datagram);
            }
        });
        let next = participant.next_timeout(now).max(now + Duration::from_millis(1));
        self.timers.push(Reverse((next, index, Due::Control)));
    }

    fn burst(&mut self, index: usize, stream: usize, traffic: &Traffic) {
        let socket = index % self.endpoints.len();
        let participant = &self.participants[index];
        let (source, server) = (Some(participant.address), participant.server);
        let now = Instant::now();
        let timestamp = participant.streams[stream].timestamp(now);
        self.participants[index].streams[stream].start_reports(now);
        for position in 0..traffic.burst {
            let place = (position, timestamp);
            let sent_at = unix_time();
            let participant = &mut self.participants[index];
            let len = participant.media(stream, traffic, place, sent_at, &mut self.scratch);
            let Some(len) = len else { return };
            if self.is_lost(self.participants[index].loss) {
                continue;
            }
            self.totals.packets_sent += 1;
            self.outboxes[socket].push(source, server, &self.scratch[..len]);
        }
        if self.outboxes[socket].len() >= FLUSH_AFTER {
            self.flush(socket);
        }
    }

    fn flush_all(&mut self) {
        for socket in 0..self.endpoints.len() {
            self.flush(socket);
        }
    }

    fn flush(&mut self, socket: usize) {
        let failures = &mut self.totals.send_failures;
        self.outboxes[socket].flush(&self.endpoints[socket], |count, _| *failures += count as u64);
    }

    fn receive(&mut self, socket: usize) {
        for _ in 0..BATCHES_PER_TURN {
            let count = self.batch.receive(&self.endpoints[socket]);
            if count == 0 {
                return;
            }
            let now = Instant::now();
            for slot in 0..count {
                self.receive_one(socket, slot, now);
            }
            if count < Batch::SIZE {
                return;
            }
        }
    }

    /// Who has this address now.
    fn participant_at(&self, local: IpAddr) -> Option<usize> {
        let (IpAddr::V4(address), IpAddr::V4(first)) = (local, self.first_address?) else {
            return None;
        };
        let index = address.to_bits().wrapping_sub(first.to_bits()) as usize;
        let index = match index < self.participants.len() {
            true => index,
            false => *self.moved.get(&local)?,
        };
        (self.participants.get(index)?.address == local).then_some(index)
    }

    fn receive_one(&mut self, socket: usize, slot: usize, now: Instant) {
        let message = self.batch.message(slot);
        let (remote, arrived_at) = (message.remote, message.arrived);
        let Some(index) = message.local.and_then(|local| self.participant_at(local)) else {
            return;
        };
        let loss = self.participants[index].loss;
        if loss > 0.0 && self.next_random() < loss {
            return;
        }
        let message = self.batch.message(slot);
        let participant = &mut self.participants[index];
        // What comes from elsewhere only had to be taken off the socket.
        if participant.server != remote || participant.is_over {
            return;
        }
        self.until_sample = self.until_sample.saturating_sub(1);
        let is_sampled = self.sample > 0 && self.until_sample == 0;
        let outbox = &mut self.outboxes[socket];
        let (source, server) = (Some(participant.address), participant.server);
        // Without merging there is exactly one.
        let Some(datagram) = message.into_datagrams().next() else { return };
        let len = datagram.len();
        let arrived = participant.receive(now, datagram, is_sampled, |reply| {
            outbox.push(source, server, reply);
        });
        let Arrived::Media(sent_at) = arrived else { return };
        self.totals.packets_received += 1;
        self.totals.bytes_received += len as u64;
        if is_sampled {
            self.until_sample = self.sample;
            if let Some((sent_at, at)) = sent_at.zip(arrived_at) {
                self.totals.delays.add(at.saturating_sub(sent_at));
            }
        }
    }
}

fn status(participant: &Participant, now: Instant) -> Status {
    let streams = participant.receivers.iter().map(|receiver| {
        let silence =
            receiver.last_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        (receiver.ssrc, receiver.packets, silence)
    });
    Status {
        is_connected: participant.is_connected(),
        failure: participant.failure.as_ref().map(ToString::to_string),
        streams: streams.collect(),
    }
}

fn unix_time() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// Binds the calling thread to one CPU.
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such CPU"));
    }
    // SAFETY: a set is a field of bits, for which zero is valid, and `cpu` is within it; the
    // kernel only reads the set.
    let outcome = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
