//! The media thread's share of ICE over TCP.

use std::time::Instant;

use media_core::Remote;

use super::{Outlet, Worker, is_rtp};
use crate::tcp::{Closed, ConnectionId, Incoming};

impl Worker {
    /// Accepts, reads and sends on what is ready, a bounded amount of each.
    pub(super) fn serve_tcp(&mut self) {
        let mut connections = std::mem::take(&mut self.ready);
        self.tcp.poll(Instant::now(), &mut connections);
        for ready in connections.drain(..) {
            if ready.writable {
                self.tcp.flush(ready.connection);
            }
            if ready.readable {
                self.read_connection(ready.connection);
            }
        }
        self.ready = connections;
    }

    fn read_connection(&mut self, id: ConnectionId) {
        let mut incoming = match self.tcp.read(id) {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return,
            Err(reason) => return self.close_connection(id, reason),
        };
        let remote = Remote::tcp(incoming.remote);
        let is_followed = self.receive_frames(&mut incoming);
        self.tcp.put_back(id, incoming);
        if !is_followed {
            return self.close_connection(id, Closed::Malformed);
        }
        self.judge_connection(id, remote);
    }

    /// Feeds the plane the frames of what was read. False if these are none.
    fn receive_frames(&mut self, incoming: &mut Incoming) -> bool {
        let Incoming { remote, local, deframer, buffer, len } = incoming;
        let Worker { plane, endpoints, tcp, .. } = self;
        let remote = Remote::tcp(*remote);
        let read_at = Instant::now();
        let mut now = read_at;
        let result = deframer.push(&mut buffer[..*len], |frame| {
            let is_media = is_rtp(frame);
            let mut outlet = Outlet::new(endpoints, tcp);
            plane.receive(now, *local, remote, frame, &mut outlet);
            let sent = outlet.rtp_sent;
            now = Instant::now();
            if is_media {
                (0..sent).for_each(|_| plane.record_forward_delay(now - read_at));
            }
        });
        result.is_ok()
    }

    fn judge_connection(&mut self, id: ConnectionId, remote: Remote) {
        if self.tcp.judge(id, self.plane.knows(remote), Instant::now()) {
            self.close_connection(id, Closed::Unused);
        }
    }

    fn close_connection(&mut self, id: ConnectionId, reason: Closed) {
        if let Some(remote) = self.tcp.close(id, reason) {
            let mut outlet = Outlet::new(&self.endpoints, &mut self.tcp);
            self.plane.disconnect(Instant::now(), Remote::tcp(remote), &mut outlet);
        }
    }

    /// Closes what nobody uses and accepts again what had to wait. About once a second.
    pub(super) fn tidy_tcp(&mut self, now: Instant) {
        self.tcp.resume(now);
        for (id, remote) in self.tcp.all() {
            self.judge_connection(id, Remote::tcp(remote));
        }
    }
}
