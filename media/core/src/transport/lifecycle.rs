//! From the first connectivity check to the end: the states of a transport.

use std::net::IpAddr;

use super::dtls::{DtlsAssociation, Progress, Secured};
use super::ice::Generation;
use super::stun::{Check, MAX_STUN_LEN};
use super::{MAX_SENT_SSRCS, SrtpPair, Transport};
use crate::api::{CloseReason, DropReason, Event, TransportState};
use crate::ledger::Stage;
use crate::remote::{Protocol, Remote};
use crate::shared::{Cx, TimerKind};
use crate::srtp::SrtpKeys;

/// Checks of which no answer arrives.
const LOST_ANSWERS: f64 = 0.2;
const MAX_ANSWERS: f64 = 5.0;
/// How often a check is answered before anything is known of the path: until an answer arrives the
/// remote side may not begin, and a browser checks a few times only where nothing gets lost.
const FIRST_ANSWERS: u32 = 3;

/// How often a check is answered over a way that loses `ratio`: all but a fifth of the answers are
/// to arrive. A browser that misses a handful in a row sends no media until one comes.
fn answers(ratio: f64) -> u32 {
    (LOST_ANSWERS.ln() / ratio.clamp(0.01, 0.9).ln()).ceil().clamp(1.0, MAX_ANSWERS) as u32
}

/// How a connectivity check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// Nothing the room has to know.
    Done,
    /// The transport can send from now on.
    Connected,
}

impl Transport {
    /// Whether the transport has not ended.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state, TransportState::Failed | TransportState::Closed)
    }

    fn set_state(&mut self, cx: &mut Cx, state: TransportState, reason: CloseReason) {
        self.state = state;
        cx.shared.report_state(self.id, state, reason);
    }

    /// Answers a connectivity check, if it is authentic and its address is not someone else's.
    pub(crate) fn on_check(
        &mut self,
        cx: &mut Cx,
        local: Option<IpAddr>,
        remote: Remote,
        check: &Check<'_>,
        is_foreign: bool,
    ) {
        let Some(generation) = self.ice.authenticate(check) else {
            cx.drop_packet(Stage::Stun, DropReason::StunUnauthenticated);
            return;
        };
        if is_foreign || !self.is_open() {
            cx.drop_packet(Stage::Stun, DropReason::StunUnauthenticated);
            return;
        }
        if self.ice.is_copy(check, remote) {
            cx.drop_packet(Stage::Stun, DropReason::StunReplay);
            return;
        }
        cx.ledger().pass(Stage::Stun);
        let mut answer = [0; MAX_STUN_LEN];
        let password = self.ice.password(generation);
        if check.has_role_conflict() {
            if let Ok(len) = check.write_role_conflict(password, &mut answer) {
                self.answer(cx, local, remote, &answer[..len]);
            }
            return;
        }
        if let Ok(len) = check.write_success(remote.address, password, &mut answer) {
            for _ in 0..self.answer_copies(remote) {
                self.answer(cx, local, remote, &answer[..len]);
            }
        }
        self.adopt(cx, (local, remote), generation, check.nominates());
        self.on_alive(cx);
        if self.state == TransportState::New {
            self.connect(cx);
        }
    }

    fn answer_copies(&self, remote: Remote) -> u32 {
        match remote.protocol {
            Protocol::Udp if self.srtp.is_none() => FIRST_ANSWERS,
            Protocol::Udp => answers(match &self.estimator {
                // A full link is not to be filled further.
                Some(estimator) => estimator.inherent_loss(),
                None => self.loss.loss().ratio.max(self.audio_loss.loss().ratio),
            }),
            Protocol::Tcp => 1,
        }
    }

    fn answer(&mut self, cx: &mut Cx, local: Option<IpAddr>, remote: Remote, answer: &[u8]) {
        cx.ledger().enter(Stage::Own, 1);
        match cx.output.send(local, remote, answer) {
            Ok(()) => {
                cx.ledger().pass(Stage::Own);
                self.bytes_out += answer.len() as u64;
            }
            Err(reason) => cx.drop_packet(Stage::Own, reason),
        }
    }

    fn adopt(
        &mut self,
        cx: &mut Cx,
        path: (Option<IpAddr>, Remote),
        generation: Generation,
        nominates: bool,
    ) {
        let accepted = self.ice.accept(cx.now, path, generation, nominates);
        // Also where it is known already: another transport may have had it in between.
        cx.shared.addresses.insert(path.1, self.location);
        if let Some(evicted) = accepted.evicted {
            cx.shared.forget_address(evicted, self.location);
        }
        if let Some(ufrag) = accepted.retired_ufrag {
            cx.shared.ufrags.remove(&ufrag);
        }
        if accepted.moved && self.srtp.is_some() {
            cx.shared.events.push(Event::TransportMoved { transport: self.id, remote: path.1 });
        }
    }

    /// The connection to one of the transport's addresses ended.
    pub(crate) fn on_disconnected(&mut self, cx: &mut Cx, remote: Remote) {
        cx.shared.forget_address(remote, self.location);
        if let Some(remote) = self.ice.disconnect(remote)
            && self.srtp.is_some()
        {
            cx.shared.events.push(Event::TransportMoved { transport: self.id, remote });
        }
    }

    fn connect(&mut self, cx: &mut Cx) {
        self.set_state(cx, TransportState::Connecting, CloseReason::None);
        let now = cx.now;
        self.step_dtls(cx, |dtls, send| dtls.start(now, send));
    }

    /// Takes a DTLS record that came from one of the transport's addresses.
    pub(crate) fn on_dtls(&mut self, cx: &mut Cx, datagram: &[u8]) -> Checked {
        if self.dtls.is_none() {
            cx.drop_packet(Stage::Dtls, DropReason::NotSecured);
            return Checked::Done;
        }
        cx.ledger().pass(Stage::Dtls);
        self.bytes_in += datagram.len() as u64;
        let now = cx.now;
        self.step_dtls(cx, |dtls, send| dtls.handle_packet(now, datagram, send))
    }

    fn step_dtls(
        &mut self,
        cx: &mut Cx,
        step: impl FnOnce(&mut DtlsAssociation, &mut dyn FnMut(&[u8])) -> Progress,
    ) -> Checked {
        let Some(mut dtls) = self.dtls.take() else { return Checked::Done };
        let progress = step(&mut dtls, &mut |record| {
            self.send_record(cx, record);
        });
        let is_client = dtls.is_client();
        if let Some(at) = dtls.next_timeout() {
            self.schedule(cx, TimerKind::Control, at);
        }
        self.dtls = Some(dtls);
        match progress {
            Progress::Pending => Checked::Done,
            Progress::Secured(secured) => self.secure(cx, secured, is_client),
            Progress::RemoteClosed => {
                self.end(cx, TransportState::Closed, CloseReason::RemoteClosed);
                Checked::Done
            }
            Progress::Failed(reason) => {
                self.fail(cx, reason);
                Checked::Done
            }
        }
    }

    fn send_record(&mut self, cx: &mut Cx, record: &[u8]) {
        cx.ledger().enter(Stage::Own, 1);
        match self.send_raw(cx.output, record) {
            Ok(()) => cx.ledger().pass(Stage::Own),
            Err(reason) => cx.drop_packet(Stage::Own, reason),
        }
    }

    fn secure(&mut self, cx: &mut Cx, secured: Secured, is_client: bool) -> Checked {
        let Secured { version, profile, material } = secured;
        let Ok((mut local, remote)) = SrtpKeys::from_dtls(profile, &material, is_client) else {
            self.fail(cx, CloseReason::NoSrtpProfile);
            return Checked::Done;
        };
        local.set_max_ssrcs(MAX_SENT_SSRCS);
        self.srtp = Some(SrtpPair { local, remote });
        cx.shared.counters.dtls_handshakes += 1;
        cx.shared.events.push(Event::TransportSecured {
            transport: self.id,
            dtls_version: version,
            profile,
        });
        if let Some(path) = self.ice.selected() {
            let remote = path.remote;
            cx.shared.events.push(Event::TransportMoved { transport: self.id, remote });
        }
        self.set_state(cx, TransportState::Connected, CloseReason::None);
        self.last_alive = cx.now;
        let first_report = cx.now + cx.shared.random.spread(cx.shared.config.report_interval) / 2;
        self.next_report = Some(first_report);
        self.schedule(cx, TimerKind::Control, first_report);
        Checked::Connected
    }

    /// Something authentic arrived: consent to send goes on (RFC 7675).
    #[inline]
    pub(crate) fn on_alive(&mut self, cx: &mut Cx) {
        self.last_alive = cx.now;
        if self.state == TransportState::Disconnected {
            self.set_state(cx, TransportState::Connected, CloseReason::None);
            self.reach.end();
            self.schedule(cx, TimerKind::Control, cx.now);
        }
    }

    /// Whether something authentic arrived lately.
    pub(crate) fn is_alive(&self, cx: &Cx) -> bool {
        self.is_open()
            && cx.now.saturating_duration_since(self.last_alive)
                < cx.shared.config.disconnected_after
    }

    /// Handshake, liveness: does what is due and schedules the rest. Reports are the room's.
    pub(crate) fn on_control_timeout(&mut self, cx: &mut Cx) -> Checked {
        let mut checked = Checked::Done;
        let now = cx.now;
        if self.state != TransportState::New
            && let Some(dtls) = &self.dtls
            && dtls.next_timeout().is_some_and(|at| at <= now)
        {
            checked = self.step_dtls(cx, |dtls, send| dtls.handle_timeout(now, send));
        }
        match self.state {
            TransportState::New | TransportState::Connecting => self.check_handshake(cx),
            TransportState::Connected | TransportState::Disconnected => self.check_liveness(cx),
            TransportState::Failed | TransportState::Closed => {}
        }
        checked
    }

    fn check_handshake(&mut self, cx: &mut Cx) {
        let deadline = self.created_at + cx.shared.config.handshake_timeout;
        if cx.now >= deadline {
            let reason = match self.state {
                TransportState::New => CloseReason::ConsentExpired,
                _ => CloseReason::DtlsTimeout,
            };
            return self.fail(cx, reason);
        }
        self.schedule(cx, TimerKind::Control, deadline);
        self.schedule_dtls(cx);
    }

    fn check_liveness(&mut self, cx: &mut Cx) {
        let silence = cx.now.saturating_duration_since(self.last_alive);
        let config = &cx.shared.config;
        let (consent, given_up) = (config.consent_timeout, config.given_up_after);
        if silence >= given_up {
            return self.fail(cx, CloseReason::ConsentExpired);
        }
        let mut next = self.last_alive + config.disconnected_after;
        if next <= cx.now {
            if self.state == TransportState::Connected {
                self.set_state(cx, TransportState::Disconnected, CloseReason::None);
            }
            self.reach.has_lapsed = silence >= consent;
            let end = if silence < consent { consent } else { given_up };
            next = self.last_alive + end.min(given_up);
            next = self.ask(cx).map_or(next, |due| due.min(next));
        }
        self.schedule(cx, TimerKind::Control, next);
        self.schedule_dtls(cx);
    }

    fn schedule_dtls(&mut self, cx: &mut Cx) {
        if self.state != TransportState::New
            && let Some(at) = self.dtls.as_ref().and_then(DtlsAssociation::next_timeout)
        {
            self.schedule(cx, TimerKind::Control, at);
        }
    }

    fn fail(&mut self, cx: &mut Cx, reason: CloseReason) {
        if self.srtp.is_none() {
            cx.shared.counters.dtls_failures += 1;
        }
        self.end(cx, TransportState::Failed, reason);
    }

    /// Says goodbye and ends, as commanded.
    pub(crate) fn close(&mut self, cx: &mut Cx, reason: CloseReason) {
        if !self.is_open() {
            return;
        }
        let now = cx.now;
        if let Some(mut dtls) = self.dtls.take() {
            dtls.close(now, |record| {
                self.send_record(cx, record);
            });
        }
        self.end(cx, TransportState::Closed, reason);
    }

    /// Frees what only a living transport needs. Tracks stay until they are removed.
    fn end(&mut self, cx: &mut Cx, state: TransportState, reason: CloseReason) {
        for remote in self.ice.remotes() {
            cx.shared.forget_address(remote, self.location);
        }
        for ufrag in self.ice.ufrags() {
            cx.shared.ufrags.remove(ufrag);
        }
        self.ice.clear();
        let waiting = self.pacer.clear() as u64;
        cx.ledger().discard(Stage::Send, DropReason::TransportClosed, waiting);
        self.dtls = None;
        self.srtp = None;
        self.next_report = None;
        self.set_state(cx, state, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_repeated_where_they_get_lost() {
        let table = [(0.0, 1), (0.1, 1), (0.2, 1), (0.3, 2), (0.5, 3), (0.7, 5), (1.0, 5)];
        for (ratio, expected) in table {
            assert_eq!(answers(ratio), expected, "{ratio}");
        }
    }
}
