//! The media thread's share of ICE over TCP.

use std::time::Instant;

use media_core::Remote;

use super::{Worker, is_rtp};
use crate::tcp::{Closed, ConnectionId, Incoming};

impl Worker {
    /// Accepts, reads and sends on what is ready, a bounded amount of each.
    pub(super) fn serve_tcp(&mut self) {
        let mut connections = std::mem::take(&mut self.ready);
        self.outlet.tcp.poll(Instant::now(), &mut connections);
        for ready in connections.drain(..) {
            if ready.writable {
                self.outlet.tcp.flush(ready.connection);
            }
            if ready.readable {
                self.read_connection(ready.connection);
            }
        }
        self.ready = connections;
    }

    fn read_connection(&mut self, id: ConnectionId) {
        let mut incoming = match self.outlet.tcp.read(id) {
            Ok(Some(incoming)) => incoming,
            Ok(None) => return,
            Err(reason) => return self.close_connection(id, reason),
        };
        let remote = Remote::tcp(incoming.remote);
        let is_followed = self.receive_frames(&mut incoming);
        self.outlet.tcp.put_back(id, incoming);
        if !is_followed {
            return self.close_connection(id, Closed::Malformed);
        }
        self.judge_connection(id, remote);
    }

    /// Feeds the plane the frames of what was read. False if these are none.
    fn receive_frames(&mut self, incoming: &mut Incoming) -> bool {
        let Incoming { remote, local, deframer, buffer, len } = incoming;
        let Worker { plane, outlet, .. } = self;
        let remote = Remote::tcp(*remote);
        let now = Instant::now();
        let mut forwarded = 0;
        let result = deframer.push(&mut buffer[..*len], |frame| {
            outlet.rtp_sent = 0;
            let is_media = is_rtp(frame);
            plane.receive(now, *local, remote, frame, outlet);
            forwarded += if is_media { outlet.rtp_sent } else { 0 };
        });
        self.flush();
        if forwarded > 0 {
            self.plane.record_forward_delay(now.elapsed(), forwarded.into());
        }
        result.is_ok()
    }

    fn judge_connection(&mut self, id: ConnectionId, remote: Remote) {
        if self.outlet.tcp.judge(id, self.plane.knows(remote), Instant::now()) {
            self.close_connection(id, Closed::Unused);
        }
    }

    fn close_connection(&mut self, id: ConnectionId, reason: Closed) {
        if let Some(remote) = self.outlet.tcp.close(id, reason) {
            self.plane.disconnect(Instant::now(), Remote::tcp(remote), &mut self.outlet);
        }
    }

    /// Closes what nobody uses and accepts again what had to wait. About once a second.
    pub(super) fn tidy_tcp(&mut self, now: Instant) {
        self.outlet.tcp.resume(now);
        for (id, remote) in self.outlet.tcp.all() {
            self.judge_connection(id, Remote::tcp(remote));
        }
    }
}
