//! Asking whether a remote side that fell silent is back.
//!
//! A lite agent only answers. But a browser whose checks go unanswered gives the path up (Chromium
//! after 15 s) and sends nothing over it any more, so that a network that comes back stays unused
//! until signaling is back too and ICE is restarted. A check from here is answered by any full
//! agent (RFC 8445, section 7.3), which then checks the path again itself. Its answer is also
//! consent to send (RFC 7675, section 5.1).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use is::stun::TransId;

use super::Transport;
use super::stun::{Answer, MAX_REQUEST_LEN, write_request};
use crate::api::{DropReason, TransportState};
use crate::ledger::Stage;
use crate::remote::{Protocol, Remote};
use crate::shared::Cx;

/// Time between two questions.
const EVERY: Duration = Duration::from_millis(200);
/// Questions whose answers are believed: those of the last six seconds.
const MAX_ASKED: usize = 30;

/// What was asked, and when the next question is due.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    asked: VecDeque<(TransId, Remote)>,
    due: Option<Instant>,
    /// Silence lasted so long that nothing may be sent but questions (RFC 7675).
    pub(crate) has_lapsed: bool,
    /// The remote side is back, and what that calls for was not done yet.
    is_back: bool,
}

impl Reach {
    fn note(&mut self, transaction: TransId, remote: Remote) {
        if self.asked.len() == MAX_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back((transaction, remote));
    }

    /// Whether this answers a question that was not answered yet.
    fn take(&mut self, transaction: TransId, remote: Remote) -> bool {
        let found = self.asked.iter().position(|asked| *asked == (transaction, remote));
        found.is_some_and(|index| self.asked.remove(index).is_some())
    }

    /// The remote side is heard again.
    pub(crate) fn end(&mut self) {
        *self = Reach { is_back: true, ..Reach::default() };
    }

    /// Heap memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.asked.capacity() * size_of::<(TransId, Remote)>()
    }
}

impl Transport {
    /// Asks if it is time to; returns when it is next. Only over UDP: what is written to a
    /// connection waits in it until the network is back, and arrives then.
    pub(crate) fn ask(&mut self, cx: &mut Cx) -> Option<Instant> {
        let path = self.ice.selected().filter(|path| path.remote.protocol == Protocol::Udp)?;
        let (local, remote) = (path.local, path.remote);
        if let Some(due) = self.reach.due.filter(|due| *due > cx.now) {
            return Some(due);
        }
        let transaction = TransId::new();
        self.reach.note(transaction, remote);
        self.send_question(cx, transaction, local, remote);
        let next = cx.now + EVERY;
        self.reach.due = Some(next);
        Some(next)
    }

    fn send_question(
        &mut self,
        cx: &mut Cx,
        transaction: TransId,
        local: Option<IpAddr>,
        remote: Remote,
    ) {
        let mut question = [0; MAX_REQUEST_LEN];
        let (ours, theirs) = self.ice.credentials();
        let Ok(len) = write_request(transaction, ours, theirs, &mut question) else { return };
        cx.ledger().enter(Stage::Own, 1);
        match cx.output.send(local, remote, &question[..len]) {
            Ok(()) => {
                cx.ledger().pass(Stage::Own);
                self.bytes_out += len as u64;
            }
            Err(reason) => cx.drop_packet(Stage::Own, reason),
        }
    }

    /// Takes an answer that came from one of the transport's addresses.
    pub(crate) fn on_answer(&mut self, cx: &mut Cx, remote: Remote, answer: &Answer<'_>) {
        let (_, theirs) = self.ice.credentials();
        if !answer.is_authentic(&theirs.password) || !self.is_open() {
            return cx.drop_packet(Stage::Stun, DropReason::StunUnauthenticated);
        }
        if !self.reach.take(answer.transaction(), remote) {
            return cx.drop_packet(Stage::Stun, DropReason::StunReplay);
        }
        cx.ledger().pass(Stage::Stun);
        self.on_alive(cx);
    }

    /// Whether the remote side came back since this was asked last.
    pub(crate) fn take_return(&mut self) -> bool {
        std::mem::take(&mut self.reach.is_back) && self.state == TransportState::Connected
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn an_answer_counts_once_from_where_it_was_asked_and_while_it_is_remembered() {
        let remote = |port| Remote::from(SocketAddr::from(([192, 0, 2, 1], port)));
        let asked: Vec<TransId> = (0..=MAX_ASKED).map(|_| TransId::new()).collect();
        let mut reach = Reach::default();
        for transaction in &asked {
            reach.note(*transaction, remote(1));
        }
        assert!(!reach.take(asked[0], remote(1)), "forgotten");
        assert!(!reach.take(asked[1], remote(2)), "from elsewhere");
        assert!(reach.take(asked[1], remote(1)));
        assert!(!reach.take(asked[1], remote(1)), "a copy");
        assert!(!reach.take(TransId::new(), remote(1)), "never asked");
        reach.end();
        assert!(!reach.take(asked[2], remote(1)));
        assert_eq!(reach.memory_bytes(), 0);
    }
}
