//! ICE-lite: answers connectivity checks and follows the remote side's nominations.
//!
//! Spec: RFC 8445, sections 2.5 and 7.3; restarts section 9. The remote side is always the
//! controlling full agent.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use media_prefetch::prefetch_all;

use super::recent::RecentChecks;
use super::stun::Check;
use crate::api::IceCredentials;
use crate::remote::Remote;

/// Remote addresses one transport keeps; the one silent for longest makes room.
pub const MAX_PATHS: usize = 8;

/// Silence of the selected path after which media from another checked one is followed.
const SILENT_AFTER: Duration = Duration::from_millis(500);

/// While media came over the selected path this lately, a nomination alone moves nothing.
const MEDIA_HOLDS: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, PartialEq, Eq)]
struct CredentialPair {
    local: IceCredentials,
    remote: IceCredentials,
}

impl CredentialPair {
    fn matches(&self, check: &Check<'_>) -> bool {
        check.ufrags() == Some((&self.local.ufrag, &self.remote.ufrag))
            && check.is_authentic(&self.local.password)
    }
}

/// A remote address that proved to know our password, and where its checks arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Where to send.
    pub remote: Remote,
    /// The local address to send from, where known.
    pub local: Option<IpAddr>,
    last_heard: Instant,
    /// When authentic media came from here last, since it is the selected path.
    last_media: Option<Instant>,
    /// When a check nominated it last.
    nominated: Option<Instant>,
}

impl Path {
    fn has_media(&self, now: Instant) -> bool {
        self.last_media.is_some_and(|at| now.saturating_duration_since(at) < MEDIA_HOLDS)
    }
}

/// Which credentials a check used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Those in use.
    Active,
    /// Those of a restart, not used before.
    Pending,
}

/// What an accepted check changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// The address is new.
    pub is_new: bool,
    /// This address made room and no longer belongs to the transport.
    pub evicted: Option<Remote>,
    /// Media is now sent to another address than before.
    pub moved: bool,
    /// These credentials of ours are no longer valid.
    pub retired_ufrag: Option<String>,
}

/// State of one transport.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug)]
#[repr(C)]
pub struct IceLite {
    /// Index in `paths`.
    selected: Option<usize>,
    paths: Vec<Path>,
    is_nominated: bool,
    active: Box<CredentialPair>,
    pending: Option<Box<CredentialPair>>,
    checks: RecentChecks,
}

impl IceLite {
    /// Waits for checks with these credentials.
    pub fn new(local: IceCredentials, remote: IceCredentials) -> IceLite {
        IceLite {
            active: Box::new(CredentialPair { local, remote }),
            pending: None,
            paths: Vec::with_capacity(1),
            selected: None,
            is_nominated: false,
            checks: RecentChecks::default(),
        }
    }

    /// Accepts other credentials from now on, and the present ones until these were used.
    /// Returns our ufrag of an earlier restart that was never used, if that is now invalid.
    pub fn restart(&mut self, local: IceCredentials, remote: IceCredentials) -> Option<String> {
        let replaced = self.pending.replace(Box::new(CredentialPair { local, remote }))?;
        let is_known = self.ufrags().any(|ufrag| ufrag == replaced.local.ufrag);
        (!is_known).then_some(replaced.local.ufrag)
    }

    /// Our user name fragments that are valid now.
    pub fn ufrags(&self) -> impl Iterator<Item = &str> {
        let pending = self.pending.as_ref().map(|pair| pair.local.ufrag.as_str());
        std::iter::once(self.active.local.ufrag.as_str()).chain(pending)
    }

    /// Which credentials the check proves, or `None` if it proves none.
    pub fn authenticate(&self, check: &Check<'_>) -> Option<Generation> {
        if self.pending.as_ref().is_some_and(|pair| pair.matches(check)) {
            return Some(Generation::Pending);
        }
        self.active.matches(check).then_some(Generation::Active)
    }

    /// Whether an authentic check is one that came from another address before: somebody copied
    /// it on its way. The remote side makes a new one for every address it has.
    pub fn is_copy(&mut self, check: &Check<'_>, remote: Remote) -> bool {
        self.checks.is_copy(check.transaction(), remote)
    }

    /// Ours and the remote side's, of those in use.
    pub fn credentials(&self) -> (&IceCredentials, &IceCredentials) {
        (&self.active.local, &self.active.remote)
    }

    /// The password that protects the answer.
    pub fn password(&self, generation: Generation) -> &str {
        match (&self.pending, generation) {
            (Some(pair), Generation::Pending) => &pair.local.password,
            _ => &self.active.local.password,
        }
    }

    /// Takes over what an authentic check says. The latest nomination wins: at once, or where
    /// media flows, with the first packet of media from there.
    ///
    /// A check proves that somebody knew the password when it was made, not that it was sent from
    /// where it came: a copy of it sent from elsewhere would otherwise lead media astray.
    pub fn accept(
        &mut self,
        now: Instant,
        path: (Option<IpAddr>, Remote),
        generation: Generation,
        nominates: bool,
    ) -> Accepted {
        let mut accepted = Accepted::default();
        if generation == Generation::Pending {
            accepted.retired_ufrag = self.complete_restart();
        }
        let (local, remote) = path;
        let index = match self.position(remote) {
            Some(index) => index,
            None => {
                accepted.is_new = true;
                accepted.evicted = self.make_room();
                let nominated = None;
                self.paths.push(Path {
                    remote,
                    local,
                    last_heard: now,
                    last_media: None,
                    nominated,
                });
                self.paths.len() - 1
            }
        };
        let known = &mut self.paths[index];
        (known.local, known.last_heard) = (local, now);
        known.nominated = nominates.then_some(now).or(known.nominated);
        if self.selected == Some(index) {
            self.is_nominated |= nominates;
            return accepted;
        }
        let holds = generation == Generation::Active
            && self.selected().is_some_and(|selected| selected.has_media(now));
        if !holds && (nominates || !self.is_nominated) {
            accepted.moved = self.selected.is_some();
            self.is_nominated |= nominates;
            self.select(index, None);
        }
        accepted
    }

    /// Takes note of authentic media. Returns whether media now goes to another address.
    ///
    /// A client behind a NAT that gave it another address doesn't know, so its checks on the pair
    /// it selected nominate nothing. But what it sends comes from the new address only.
    #[inline]
    pub fn hear(&mut self, now: Instant, remote: Remote) -> bool {
        let Some(selected) = self.selected.and_then(|index| self.paths.get_mut(index)) else {
            return false;
        };
        if selected.remote == remote {
            (selected.last_heard, selected.last_media) = (now, Some(now));
            return false;
        }
        let is_silent = now.saturating_duration_since(selected.last_heard) >= SILENT_AFTER;
        let nominated = selected.nominated;
        let Some(index) = self.position(remote) else { return false };
        let path = &mut self.paths[index];
        if !is_silent && path.nominated <= nominated {
            return false;
        }
        (path.last_heard, path.nominated) = (now, Some(now));
        self.select(index, Some(now));
        true
    }

    /// Has the path fetched that is used, a moment later.
    #[inline]
    pub(crate) fn prefetch_path(&self) {
        self.paths.first().inspect(|path| prefetch_all(*path));
    }

    fn position(&self, remote: Remote) -> Option<usize> {
        self.paths.iter().position(|path| path.remote == remote)
    }

    fn select(&mut self, index: usize, last_media: Option<Instant>) {
        self.paths[index].last_media = last_media;
        self.selected = Some(index);
    }

    fn complete_restart(&mut self) -> Option<String> {
        let pending = self.pending.take()?;
        let retired = std::mem::replace(&mut self.active, pending);
        self.is_nominated = false;
        (retired.local.ufrag != self.active.local.ufrag).then_some(retired.local.ufrag)
    }

    fn make_room(&mut self) -> Option<Remote> {
        if self.paths.len() < MAX_PATHS {
            return None;
        }
        let oldest = (0..self.paths.len())
            .filter(|index| Some(*index) != self.selected)
            .min_by_key(|index| self.paths[*index].last_heard)?;
        Some(self.remove(oldest).remote)
    }

    fn remove(&mut self, index: usize) -> Path {
        let path = self.paths.swap_remove(index);
        let moved = self.paths.len();
        self.selected = match self.selected {
            Some(selected) if selected == index => None,
            Some(selected) if selected == moved => Some(index),
            selected => selected,
        };
        path
    }

    /// Where to send: the nominated path, or before a nomination the one checked last.
    #[inline]
    pub fn selected(&self) -> Option<&Path> {
        self.paths.get(self.selected?)
    }

    /// All addresses that belong to the transport.
    pub fn remotes(&self) -> impl Iterator<Item = Remote> {
        self.paths.iter().map(|path| path.remote)
    }

    /// Gives up an address that another transport has taken over.
    pub fn forget(&mut self, remote: Remote) {
        let Some(index) = self.position(remote) else { return };
        self.remove(index);
        self.is_nominated &= self.selected.is_some();
    }

    /// Gives up an address whose connection ended. If it was the selected one, media goes where
    /// the remote side was heard last; returns that address.
    pub fn disconnect(&mut self, remote: Remote) -> Option<Remote> {
        let was_selected = self.selected().is_some_and(|path| path.remote == remote);
        self.forget(remote);
        if !was_selected {
            return None;
        }
        let latest = (0..self.paths.len()).max_by_key(|index| self.paths[*index].last_heard)?;
        self.select(latest, None);
        Some(self.paths[latest].remote)
    }

    /// Gives up all addresses: the transport has ended.
    pub fn clear(&mut self) {
        self.paths = Vec::new();
        self.selected = None;
        self.checks = RecentChecks::default();
    }

    /// Heap memory.
    pub fn memory_bytes(&self) -> usize {
        self.paths.capacity() * size_of::<Path>() + self.checks.memory_bytes() + 4 * 32
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn credentials(ufrag: &str) -> IceCredentials {
        IceCredentials { ufrag: ufrag.into(), password: format!("password-of-{ufrag}") }
    }

    fn agent() -> (IceLite, Instant) {
        (IceLite::new(credentials("ours"), credentials("theirs")), Instant::now())
    }

    fn address(port: u16) -> (Option<IpAddr>, Remote) {
        (None, SocketAddr::from(([192, 0, 2, 1], port)).into())
    }

    #[test]
    fn before_a_nomination_the_latest_check_is_followed_and_after_it_only_nominations() {
        let (mut ice, now) = agent();
        let first = ice.accept(now, address(1), Generation::Active, false);
        assert!(first.is_new && !first.moved);
        assert!(ice.accept(now, address(2), Generation::Active, false).moved);
        assert!(ice.accept(now, address(1), Generation::Active, true).moved);
        assert!(!ice.accept(now, address(2), Generation::Active, false).moved);
        assert_eq!(ice.selected().unwrap().remote, address(1).1);
        assert!(ice.accept(now, address(3), Generation::Active, true).moved);
        assert_eq!(ice.selected().unwrap().remote, address(3).1);
    }

    #[test]
    fn media_from_a_checked_address_is_followed_when_the_selected_one_fell_silent() {
        let (mut ice, now) = agent();
        let at = |milliseconds| now + Duration::from_millis(milliseconds);
        ice.accept(now, address(1), Generation::Active, true);
        ice.accept(at(100), address(2), Generation::Active, false);
        assert!(!ice.hear(at(300), address(1).1));
        assert!(!ice.hear(at(799), address(2).1), "the selected path was heard 499 ms ago");
        assert!(!ice.hear(at(800), address(3).1), "never checked");
        assert!(ice.hear(at(800), address(2).1));
        assert_eq!(ice.selected().unwrap().remote, address(2).1);
        assert!(!ice.hear(at(801), address(1).1), "a late packet does not turn it back");
    }

    #[test]
    fn a_nomination_moves_nothing_while_media_comes_over_the_selected_path() {
        let (mut ice, now) = agent();
        let at = |milliseconds| now + Duration::from_millis(milliseconds);
        ice.accept(now, address(1), Generation::Active, true);
        ice.hear(at(10), address(1).1);
        assert!(!ice.accept(at(20), address(2), Generation::Active, true).moved);
        assert!(ice.hear(at(30), address(2).1), "media from there confirms it");
        assert!(!ice.hear(at(31), address(1).1), "a late packet does not turn it back");
        assert!(ice.accept(at(400), address(3), Generation::Active, true).moved, "nothing flows");
        ice.hear(at(401), address(3).1);
        ice.restart(credentials("ours2"), credentials("theirs2"));
        assert!(ice.accept(at(410), address(4), Generation::Pending, true).moved, "a restart");
    }

    #[test]
    fn the_table_of_addresses_is_bounded_and_keeps_the_selected_one() {
        let (mut ice, now) = agent();
        ice.accept(now, address(1), Generation::Active, true);
        for port in 2..100 {
            let at = now + Duration::from_millis(port.into());
            let accepted = ice.accept(at, address(port), Generation::Active, false);
            let expected = (port > MAX_PATHS as u16).then(|| address(port - 7).1);
            assert_eq!(accepted.evicted, expected, "port {port}");
        }
        assert_eq!(ice.remotes().count(), MAX_PATHS);
        assert!(ice.remotes().any(|remote| remote == address(1).1));
    }

    #[test]
    fn the_selected_path_stays_selected_when_another_is_removed() {
        for selected in 1..=3_u16 {
            for removed in 1..=3_u16 {
                let (mut ice, now) = agent();
                for port in 1..=3 {
                    ice.accept(now, address(port), Generation::Active, port == selected);
                }
                ice.forget(address(removed).1);
                let expected = (selected != removed).then(|| address(selected).1);
                assert_eq!(ice.selected().map(|path| path.remote), expected);
                let elsewhere = ice.accept(now, address(4), Generation::Active, false);
                assert!(!elsewhere.moved);
                let is_free = expected.is_none();
                assert_eq!(ice.selected().unwrap().remote == address(4).1, is_free);
            }
        }
    }

    #[test]
    fn when_the_connection_of_the_selected_path_ends_media_goes_where_life_was_heard_last() {
        let (mut ice, now) = agent();
        let at = |milliseconds| now + Duration::from_millis(milliseconds);
        let tcp = (None, Remote::tcp(address(1).1.address));
        ice.accept(now, tcp, Generation::Active, true);
        ice.accept(at(1), address(1), Generation::Active, false);
        ice.accept(at(2), address(2), Generation::Active, false);
        assert_eq!(ice.remotes().count(), 3, "the same address over TCP is another");
        assert_eq!(ice.disconnect(tcp.1), Some(address(2).1));
        assert_eq!(ice.disconnect(address(1).1), None, "was not selected");
        assert_eq!(ice.selected().unwrap().remote, address(2).1);
        assert_eq!(ice.disconnect(address(2).1), None, "nothing is left");
        assert!(ice.selected().is_none());
        assert!(!ice.accept(at(3), address(3), Generation::Active, false).moved);
        assert_eq!(ice.selected().unwrap().remote, address(3).1);
    }

    #[test]
    fn a_restart_keeps_the_old_credentials_until_the_new_ones_are_used() {
        let (mut ice, now) = agent();
        ice.accept(now, address(1), Generation::Active, true);
        assert_eq!(ice.restart(credentials("ours2"), credentials("theirs2")), None);
        let replaced = ice.restart(credentials("ours3"), credentials("theirs3"));
        assert_eq!(replaced.as_deref(), Some("ours2"));
        assert_eq!(ice.ufrags().collect::<Vec<_>>(), ["ours", "ours3"]);
        assert_eq!(ice.password(Generation::Pending), "password-of-ours3");
        let accepted = ice.accept(now, address(1), Generation::Active, false);
        assert_eq!(accepted, Accepted::default());
        let accepted = ice.accept(now, address(2), Generation::Pending, true);
        assert_eq!(accepted.retired_ufrag.as_deref(), Some("ours"));
        assert!(accepted.moved);
        assert_eq!(ice.ufrags().collect::<Vec<_>>(), ["ours3"]);
    }
}
