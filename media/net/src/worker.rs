//! The media thread: waits for sockets, commands and timers, and feeds the plane.

mod tcp;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use media_core::{Command, DropReason, Output, Plane, Protocol, Remote};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::endpoint::{self, Batch, Endpoint};
use crate::event_sender::EventSender;
use crate::load::LoadMeter;
use crate::shared::Shared;
use crate::tcp::{ReadyConnection, Tcp};

/// Datagrams taken from one socket before timers and commands get their turn.
const DATAGRAMS_PER_TURN: usize = 2 * Batch::SIZE;

/// Commands executed before the sockets get their turn: one may cost a millisecond.
const COMMANDS_PER_TURN: usize = 16;

/// Time between two snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);

/// Longest queueing in the kernel believed in; more means that the wall clock was set.
const MAX_QUEUEING: Duration = Duration::from_secs(1);

/// The media thread's state.
pub(crate) struct Worker {
    plane: Plane,
    /// One or two.
    endpoints: Vec<Endpoint>,
    tcp: Tcp,
    /// Empty between two turns.
    ready: Vec<ReadyConnection>,
    shared: Arc<Shared>,
    events: EventSender,
    batch: Batch,
    load: LoadMeter,
    snapshot_due: Instant,
}

/// What a wait ended with.
#[derive(Clone, Copy)]
struct Ready {
    commands: bool,
    sockets: [bool; 2],
    tcp: bool,
}

/// Sends for the plane and counts the media among it.
struct Outlet<'a> {
    endpoints: &'a [Endpoint],
    tcp: &'a mut Tcp,
    rtp_sent: u64,
}

impl<'a> Outlet<'a> {
    fn new(endpoints: &'a [Endpoint], tcp: &'a mut Tcp) -> Outlet<'a> {
        Outlet { endpoints, tcp, rtp_sent: 0 }
    }
}

impl Output for Outlet<'_> {
    fn send(
        &mut self,
        source: Option<IpAddr>,
        destination: Remote,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        match destination.protocol {
            Protocol::Udp => {
                endpoint::send(self.endpoints, source, destination.address, datagram)?;
            }
            Protocol::Tcp => self.tcp.send(destination.address, datagram)?,
        }
        self.rtp_sent += u64::from(is_rtp(datagram));
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
            endpoints,
            tcp,
            ready: Vec::new(),
            events: EventSender::new(Arc::clone(&shared)),
            shared,
            batch: Batch::new(),
            load: LoadMeter::new(now),
            snapshot_due: now,
        }
    }

    /// Runs until the engine is asked to close, then closes all transports.
    ///
    /// # Panics
    ///
    /// When the kernel refuses to wait for the descriptors.
    pub(crate) fn run(mut self) {
        while !self.shared.is_closed() {
            let ready = self.wait();
            self.turn(ready);
        }
        self.shut_down();
    }

    /// Waits for a socket, a command or the next timer.
    fn wait(&mut self) -> Ready {
        let due = self
            .plane
            .poll_timeout()
            .map_or(self.snapshot_due, |timer| timer.min(self.snapshot_due));
        let from = Instant::now();
        let timeout = Timespec::try_from(due.saturating_duration_since(from))
            .expect("a snapshot is never due that late");
        let last = &self.endpoints[self.endpoints.len() - 1];
        let mut fds = [
            PollFd::new(&self.shared.command_wake, PollFlags::IN),
            PollFd::new(&self.tcp, PollFlags::IN),
            PollFd::new(&self.endpoints[0], PollFlags::IN),
            PollFd::new(last, PollFlags::IN),
        ];
        let used = 2 + self.endpoints.len();
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
        // Commands first: a peer may answer to what one of them announced.
        if ready.commands {
            self.shared.command_wake.clear();
            self.execute_commands(COMMANDS_PER_TURN);
            if !self.shared.commands.is_empty() {
                self.shared.command_wake.raise();
            }
        }
        for index in 0..self.endpoints.len() {
            if ready.sockets[index] {
                self.receive(index);
            }
        }
        if ready.tcp {
            self.serve_tcp();
        }
        let now = Instant::now();
        if self.plane.poll_timeout().is_some_and(|due| due <= now) {
            let mut outlet = Outlet::new(&self.endpoints, &mut self.tcp);
            self.plane.handle_timeout(now, &mut outlet);
        }
        self.forward_events();
        if now >= self.snapshot_due {
            self.tidy_tcp(now);
            self.publish(now);
        }
    }

    /// Feeds the plane what one socket holds, up to the share of one turn.
    fn receive(&mut self, index: usize) {
        for _ in 0..DATAGRAMS_PER_TURN / Batch::SIZE {
            let received = self.batch.receive(&self.endpoints[index]);
            let batch_at = Instant::now();
            let batch_wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let mut now = batch_at;
            for slot in 0..received {
                let datagram = self.batch.datagram(slot);
                let queued = queueing(datagram.arrived, batch_wall);
                let is_media = is_rtp(datagram.bytes);
                let mut outlet = Outlet::new(&self.endpoints, &mut self.tcp);
                let (local, remote) = (datagram.local, datagram.remote);
                self.plane.receive(now, local, remote, datagram.bytes, &mut outlet);
                now = Instant::now();
                if is_media {
                    let delay = queued + (now - batch_at);
                    (0..outlet.rtp_sent).for_each(|_| self.plane.record_forward_delay(delay));
                }
            }
            if received < Batch::SIZE {
                break;
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
        let mut outlet = Outlet::new(&self.endpoints, &mut self.tcp);
        self.plane.execute(Instant::now(), command, &mut outlet);
    }

    fn forward_events(&mut self) {
        while let Some(event) = self.plane.poll_event() {
            self.events.send(event);
        }
        self.events.report_lost();
    }

    fn publish(&mut self, now: Instant) {
        let snapshot = self.plane.snapshot(now);
        let load = self.load.take(now);
        if self.shared.publish(snapshot, load, self.tcp.stats()) {
            self.snapshot_due = now + SNAPSHOT_INTERVAL;
        }
    }

    /// Executes what was accepted before the close and says goodbye to everyone.
    fn shut_down(&mut self) {
        self.execute_commands(usize::MAX);
        for transport in self.plane.snapshot(Instant::now()).transports {
            self.execute(Command::CloseTransport { transport: transport.transport });
        }
        self.forward_events();
        self.publish(Instant::now());
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
