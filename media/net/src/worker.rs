//! The media thread: waits for sockets, commands and timers, and feeds the plane.

mod tcp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use media_core::{Command, DropReason, Output, Plane, Protocol, Remote, Snapshot, Survey};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::endpoint::{Batch, Endpoint, Merging, drop_reason};
use crate::event_sender::EventSender;
use crate::load::LoadMeter;
use crate::outbox::Outbox;
use crate::schedule;
use crate::shared::{Published, Shared, SocketStats};
use crate::tcp::{ReadyConnection, Tcp};
use crate::turns::TurnPeriod;

/// Batches taken from one socket before timers and commands get their turn.
const BATCHES_PER_TURN: usize = 2;

/// But no further batch once so many datagrams came: the kernel may merge 64 into one message.
const DATAGRAMS_PER_TURN: usize = 256;

/// Commands executed before the sockets get their turn: one may cost a millisecond.
const COMMANDS_PER_TURN: usize = 16;

/// Time between two snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);

/// Rooms that are looked at in one turn for a snapshot, in some 0.05 ms.
const ROOMS_PER_LOOK: usize = 4;

/// In dense traffic timers wait this long for others: those that are due together find what they
/// need in memory fetched ahead together.
const TIMERS_GATHER: Duration = Duration::from_millis(2);

/// Turns in dense traffic before new TCP connections are looked for: 1.6 ms.
const MAX_TURNS_UNASKED: u32 = 8;

/// Longest queueing in the kernel believed in; more means that the wall clock was set.
const MAX_QUEUEING: Duration = Duration::from_secs(1);

/// The media thread's state.
pub(crate) struct Worker {
    plane: Plane,
    outlet: Outlet,
    /// Empty between two turns.
    ready: Vec<ReadyConnection>,
    shared: Arc<Shared>,
    events: EventSender,
    batch: Batch,
    load: LoadMeter,
    /// The next snapshot, while rooms are looked at for it.
    survey: Option<Survey>,
    /// When some more of them are.
    look_due: Instant,
    /// Between two looks.
    look_interval: Duration,
    /// Since when the present or last turn is under way.
    turn_started: Instant,
    /// To the start of the next one in dense traffic.
    period: TurnPeriod,
    /// What the last turn left in the sockets, as far as that is known.
    backlog: Backlog,
    /// Turns since the kernel was last asked what is ready.
    turns_unasked: u32,
}

/// How dense the traffic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Backlog {
    /// The last turn found nothing.
    Idle,
    /// It took everything there was.
    Drained,
    /// It had its share, and there may be more.
    More,
}

/// What a wait ended with.
#[derive(Clone, Copy)]
struct Ready {
    commands: bool,
    sockets: [bool; 2],
    tcp: bool,
}

/// Collects what the plane sends and counts the media among it.
struct Outlet {
    /// One or two.
    endpoints: Vec<Endpoint>,
    /// One for each endpoint.
    outboxes: Vec<Outbox>,
    tcp: Tcp,
    rtp_sent: u32,
    /// Datagrams the kernel did not take since they were last counted.
    failures: [u64; DropReason::ALL.len()],
    /// Datagrams the kernel took.
    sent: u64,
}

impl Outlet {
    fn new(endpoints: Vec<Endpoint>, tcp: Tcp) -> Outlet {
        Outlet {
            outboxes: endpoints.iter().map(|_| Outbox::new()).collect(),
            endpoints,
            tcp,
            rtp_sent: 0,
            failures: [0; DropReason::ALL.len()],
            sent: 0,
        }
    }

    /// Sends what was collected.
    fn flush(&mut self) {
        for index in 0..self.outboxes.len() {
            self.flush_one(index);
        }
    }

    /// Puts a datagram with those that leave together.
    fn collect(
        &mut self,
        source: Option<IpAddr>,
        destination: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        let index = self
            .endpoints
            .iter()
            .position(|endpoint| endpoint.is_ipv4() == destination.is_ipv4())
            .ok_or(DropReason::SendFailed)?;
        if self.outboxes[index].is_full() {
            self.flush_one(index);
        }
        let has_room = self.outboxes[index].push(source, destination, datagram);
        has_room.then_some(()).ok_or(DropReason::TooLarge)
    }

    fn flush_one(&mut self, index: usize) {
        let failures = &mut self.failures;
        let taken = self.outboxes[index].flush(&self.endpoints[index], |count, error| {
            failures[drop_reason(error) as usize] += count as u64;
        });
        self.sent += taken as u64;
    }

    /// What became of datagrams so far.
    fn stats(&self) -> SocketStats {
        let tcp = self.tcp.frames();
        SocketStats {
            sent: self.sent + tcp.sent,
            waiting: tcp.waiting,
            overflowed: self.endpoints.iter().map(|e| u64::from(e.overflowed())).sum(),
        }
    }
}

impl Output for Outlet {
    fn send(
        &mut self,
        source: Option<IpAddr>,
        destination: Remote,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        match destination.protocol {
            Protocol::Udp => self.collect(source, destination.address, datagram)?,
            Protocol::Tcp => self.tcp.send(destination.address, datagram)?,
        }
        self.rtp_sent += u32::from(is_rtp(datagram));
        Ok(())
    }
}

impl Worker {
    pub(crate) fn new(
        plane: Plane,
        endpoints: Vec<Endpoint>,
        tcp: Tcp,
        shared: Arc<Shared>,
    ) -> Worker {
        let now = Instant::now();
        Worker {
            plane,
            outlet: Outlet::new(endpoints, tcp),
            ready: Vec::new(),
            events: EventSender::new(Arc::clone(&shared)),
            shared,
            batch: Batch::new(Merging::On),
            load: LoadMeter::new(now),
            survey: None,
            look_due: now,
            look_interval: SNAPSHOT_INTERVAL,
            turn_started: now,
            period: TurnPeriod::default(),
            backlog: Backlog::Idle,
            turns_unasked: 0,
        }
    }

    /// Runs until the engine is asked to close, then closes all transports.
    ///
    /// # Panics
    ///
    /// When the kernel refuses to wait for the descriptors.
    pub(crate) fn run(mut self) {
        schedule::shorten_timer_slack();
        while !self.shared.is_closed() {
            self.pause();
            let ready = self.next_ready();
            self.turn(ready);
        }
        self.shut_down();
    }

    /// In dense traffic, waits for more of it: a turn costs the same however much it finds.
    fn pause(&mut self) {
        let Some(left) = self.period.get().checked_sub(self.turn_started.elapsed()) else { return };
        if self.backlog == Backlog::Drained && !left.is_zero() {
            thread::sleep(left);
            self.load.add_wait(left);
        }
    }

    /// What to look at in the next turn. In dense traffic the sockets have something nearly
    /// always, and to ask costs more than to try; what else there may be can wait some turns.
    fn next_ready(&mut self) -> Ready {
        let is_dense = self.backlog != Backlog::Idle && self.outlet.tcp.is_empty();
        if is_dense && self.turns_unasked < MAX_TURNS_UNASKED {
            self.turns_unasked += 1;
            let commands = self.shared.command_wake.is_raised();
            return Ready { commands, tcp: false, sockets: [true; 2] };
        }
        self.turns_unasked = 0;
        self.wait()
    }

    /// Waits for a socket, a command or the next timer.
    fn wait(&mut self) -> Ready {
        let due = self.plane.poll_timeout().map_or(self.look_due, |timer| timer.min(self.look_due));
        let from = Instant::now();
        let timeout = Timespec::try_from(due.saturating_duration_since(from))
            .expect("a look at rooms is never due that late");
        let endpoints = &self.outlet.endpoints;
        let last = &endpoints[endpoints.len() - 1];
        let mut fds = [
            PollFd::new(&self.shared.command_wake, PollFlags::IN),
            PollFd::new(&self.outlet.tcp, PollFlags::IN),
            PollFd::new(&endpoints[0], PollFlags::IN),
            PollFd::new(last, PollFlags::IN),
        ];
        let used = 2 + endpoints.len();
        match poll(&mut fds[..used], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("waiting for sockets failed: {}", io::Error::from(error)),
        }
        let readable = |index: usize| index < used && !fds[index].revents().is_empty();
        let sockets = [readable(2), readable(3)];
        let ready = Ready { commands: readable(0), tcp: readable(1), sockets };
        self.load.add_wait(from.elapsed());
        ready
    }

    /// Does a bounded amount of everything that is due.
    fn turn(&mut self, ready: Ready) {
        self.turn_started = Instant::now();
        self.backlog = Backlog::Idle;
        // Commands first: a peer may answer to what one of them announced.
        if ready.commands {
            self.shared.command_wake.clear();
            self.execute_commands(COMMANDS_PER_TURN);
            if !self.shared.commands.is_empty() {
                self.shared.command_wake.raise();
            }
        }
        for index in 0..self.outlet.endpoints.len() {
            if ready.sockets[index] {
                self.receive(index);
            }
        }
        if ready.tcp {
            self.serve_tcp();
        }
        let now = Instant::now();
        let is_dense = self.backlog != Backlog::Idle;
        let least = if is_dense { TIMERS_GATHER } else { Duration::ZERO };
        if self.plane.poll_timeout().is_some_and(|due| due + least <= now) {
            self.plane.handle_timeout(now, &mut self.outlet);
        }
        self.flush();
        self.forward_events();
        if now >= self.look_due {
            self.look(now);
        }
    }

    /// Feeds the plane what one socket holds, up to the share of one turn. What a batch causes
    /// leaves before the next one is taken.
    fn receive(&mut self, index: usize) {
        let mut datagrams = 0;
        for _ in 0..BATCHES_PER_TURN {
            let received = self.batch.receive(&self.outlet.endpoints[index]);
            if received == 0 {
                return;
            }
            let is_full = received == Batch::SIZE;
            self.backlog = self.backlog.max(if is_full { Backlog::More } else { Backlog::Drained });
            let now = Instant::now();
            let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let mut forwarded = [(Duration::ZERO, 0); Batch::SIZE];
            for (slot, forwarded) in forwarded[..received].iter_mut().enumerate() {
                if slot % Plane::GROUP == 0 {
                    let batch = &self.batch;
                    self.plane.prefetch((slot..received).map(|slot| batch.peek(slot)));
                }
                let is_media = is_rtp(self.batch.peek(slot).1);
                let message = self.batch.message(slot);
                let queued = queueing(message.arrived, wall);
                let (local, remote) = (message.local, message.remote);

                let arrived = message.into_datagrams().inspect(|_| datagrams += 1);
                self.outlet.rtp_sent = 0;
                self.plane.receive_all(now, local, remote, arrived, &mut self.outlet);
                if is_media {
                    *forwarded = (queued, self.outlet.rtp_sent);
                }
            }
            self.flush();
            let took = now.elapsed();
            for (queued, count) in forwarded {
                if count > 0 {
                    self.plane.record_forward_delay(queued + took, count.into());
                }
            }
            if !is_full || datagrams >= DATAGRAMS_PER_TURN {
                return;
            }
        }
    }

    /// Sends what was collected and counts what could not be sent.
    fn flush(&mut self) {
        self.outlet.flush();
        self.outlet.failures[DropReason::TransportClosed as usize] +=
            self.outlet.tcp.take_abandoned();
        self.outlet.failures[DropReason::TcpLate as usize] += self.outlet.tcp.take_late();
        for reason in DropReason::ALL {
            let count = std::mem::take(&mut self.outlet.failures[reason as usize]);
            if count > 0 {
                self.plane.count_drops(reason, count);
            }
        }
    }

    fn execute_commands(&mut self, limit: usize) {
        for _ in 0..limit {
            let Some(command) = self.shared.commands.pop() else { break };
            self.execute(command);
        }
    }

    fn execute(&mut self, command: Command) {
        self.plane.execute(Instant::now(), command, &mut self.outlet);
    }

    fn forward_events(&mut self) {
        while let Some(event) = self.plane.poll_event() {
            self.events.send(event);
        }
        self.events.report_lost();
    }

    /// Looks at some rooms for the next snapshot, and publishes it after the last of them.
    fn look(&mut self, now: Instant) {
        let mut survey = self.survey.take().unwrap_or_else(|| {
            let survey = self.plane.begin_survey();
            let looks = survey.rooms_ahead().div_ceil(ROOMS_PER_LOOK).max(1);
            self.look_interval = SNAPSHOT_INTERVAL / u32::try_from(looks).unwrap_or(u32::MAX);
            survey
        });
        self.plane.survey(now, &mut survey, ROOMS_PER_LOOK);
        self.look_due = now + self.look_interval;
        if survey.rooms_ahead() > 0 {
            self.survey = Some(survey);
            return;
        }
        let snapshot = self.plane.finish_survey(survey);
        self.publish(now, snapshot);
        self.tidy_tcp(now);
    }

    /// If somebody is just reading the last snapshot, that one stands until the next.
    fn publish(&mut self, now: Instant, snapshot: Snapshot) {
        let load = self.load.take(now);
        self.period.update(load);
        self.shared.publish(Published {
            snapshot: Arc::new(snapshot),
            load,
            tcp: self.outlet.tcp.stats(),
            sockets: self.outlet.stats(),
        });
    }

    /// Executes what was accepted before the close and says goodbye to everyone.
    fn shut_down(&mut self) {
        self.execute_commands(usize::MAX);
        for transport in self.plane.snapshot(Instant::now()).transports {
            self.execute(Command::CloseTransport { transport: transport.transport });
        }
        self.flush();
        self.forward_events();
        let now = Instant::now();
        let last = self.plane.snapshot(now);
        self.publish(now, last);
    }
}

/// Time a datagram waited in the kernel; zero where that is unknown or absurd.
fn queueing(arrived: Option<Duration>, now: Duration) -> Duration {
    arrived
        .and_then(|arrived| now.checked_sub(arrived))
        .filter(|queued| *queued <= MAX_QUEUEING)
        .unwrap_or_default()
}

/// Whether a datagram is RTP or SRTP (RFC 7983, section 7, and RFC 5761, section 4).
pub(crate) fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !(192..=223).contains(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TcpConfig;

    #[test]
    fn only_rtp_counts_as_media() {
        for (head, expected) in [
            (&[0x80, 96][..], true),
            (&[0xbf, 0xe0], true),
            (&[0x80, 0xbf], true),
            (&[0x80, 192], false),
            (&[0x80, 200], false),
            (&[0x80, 223], false),
            (&[0x00, 0x01], false),
            (&[0x16, 0xfe], false),
            (&[0x80], false),
            (&[], false),
        ] {
            assert_eq!(is_rtp(head), expected, "{head:?}");
        }
    }

    #[test]
    fn destination_without_a_socket_of_its_family_is_a_failed_send() {
        let destination = Remote::from("192.0.2.1:9".parse::<SocketAddr>().unwrap());
        let tcp = Tcp::new(Vec::new(), TcpConfig::default()).unwrap();
        let mut outlet = Outlet::new(Vec::new(), tcp);
        assert_eq!(outlet.send(None, destination, b"x"), Err(DropReason::SendFailed));
    }

    #[test]
    fn absurd_kernel_timestamps_count_as_no_queueing() {
        let now = Duration::from_secs(1_000);
        let ms = Duration::from_millis;
        for (arrived, queued) in [
            (None, ms(0)),
            (Some(now - ms(3)), ms(3)),
            (Some(now + ms(3)), ms(0)),
            (Some(now - ms(1_001)), ms(0)),
        ] {
            assert_eq!(queueing(arrived, now), queued);
        }
    }
}
