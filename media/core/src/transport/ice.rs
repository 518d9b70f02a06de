//! ICE-lite: answers connectivity checks and follows the remote side's nominations.
//!
//! Spec: RFC 8445, sections 2.5 and 7.3; restarts section 9. The remote side is always the
//! controlling full agent.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::stun::Check;
use crate::api::IceCredentials;

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
    pub remote: SocketAddr,
    /// The local address to send from, where known.
    pub local: Option<IpAddr>,
    last_heard: Instant,
    /// When authentic media came from here last; kept for the selected path only.
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
    pub evicted: Option<SocketAddr>,
    /// Media is now sent to another address than before.
    pub moved: bool,
    /// These credentials of ours are no longer valid.
    pub retired_ufrag: Option<String>,
}

/// State of one transport.
#[derive(Debug)]
pub struct IceLite {
    active: CredentialPair,
    pending: Option<CredentialPair>,
    paths: Vec<Path>,
    selected: Option<Path>,
    is_nominated: bool,
}

impl IceLite {
    /// Waits for checks with these credentials.
    pub fn new(local: IceCredentials, remote: IceCredentials) -> IceLite {
        IceLite {
            active: CredentialPair { local, remote },
            pending: None,
            paths: Vec::with_capacity(1),
            selected: None,
            is_nominated: false,
        }
    }

    /// Accepts other credentials from now on, and the present ones until these were used.
    /// Returns our ufrag of an earlier restart that was never used, if that is now invalid.
    pub fn restart(&mut self, local: IceCredentials, remote: IceCredentials) -> Option<String> {
        let replaced = self.pending.replace(CredentialPair { local, remote })?;
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
        path: (Option<IpAddr>, SocketAddr),
        generation: Generation,
        nominates: bool,
    ) -> Accepted {
        let mut accepted = Accepted::default();
        if generation == Generation::Pending {
            accepted.retired_ufrag = self.complete_restart();
        }
        let nominated = nominates.then_some(now);
        let (local, remote) = path;
        let mut path = Path { remote, local, last_heard: now, last_media: None, nominated };
        match self.paths.iter_mut().find(|known| known.remote == path.remote) {
            Some(known) => {
                path.nominated = nominated.or(known.nominated);
                *known = path;
            }
            None => {
                accepted.is_new = true;
                accepted.evicted = self.make_room();
                self.paths.push(path);
            }
        }
        let previous = self.selected.map(|selected| selected.remote);
        if let Some(selected) = self.selected.filter(|selected| selected.remote == path.remote) {
            path.last_media = selected.last_media;
            path.nominated = path.nominated.max(selected.nominated);
        }
        let holds = generation == Generation::Active
            && previous != Some(path.remote)
            && self.selected.is_some_and(|selected| selected.has_media(now));
        if !holds && (nominates || !self.is_nominated || previous == Some(path.remote)) {
            self.selected = Some(path);
            self.is_nominated |= nominates;
            accepted.moved = previous.is_some_and(|previous| previous != path.remote);
        }
        accepted
    }

    /// Takes note of authentic media. Returns whether media now goes to another address.
    ///
    /// A client behind a NAT that gave it another address doesn't know, so its checks on the pair
    /// it selected nominate nothing. But what it sends comes from the new address only.
    #[inline]
    pub fn hear(&mut self, now: Instant, remote: SocketAddr) -> bool {
        let Some(selected) = &mut self.selected else { return false };
        if selected.remote == remote {
            selected.last_heard = now;
            selected.last_media = Some(now);
            return false;
        }
        let is_silent = now.saturating_duration_since(selected.last_heard) >= SILENT_AFTER;
        let Some(path) = self.paths.iter().find(|path| path.remote == remote) else { return false };
        if !is_silent && path.nominated <= selected.nominated {
            return false;
        }
        let at = Some(now);
        self.selected = Some(Path { last_heard: now, last_media: at, nominated: at, ..*path });
        true
    }

    fn complete_restart(&mut self) -> Option<String> {
        let pending = self.pending.take()?;
        let retired = std::mem::replace(&mut self.active, pending);
        self.is_nominated = false;
        (retired.local.ufrag != self.active.local.ufrag).then_some(retired.local.ufrag)
    }

    fn make_room(&mut self) -> Option<SocketAddr> {
        if self.paths.len() < MAX_PATHS {
            return None;
        }
        let selected = self.selected.map(|path| path.remote);
        let oldest = (0..self.paths.len())
            .filter(|index| Some(self.paths[*index].remote) != selected)
            .min_by_key(|index| self.paths[*index].last_heard)?;
        Some(self.paths.swap_remove(oldest).remote)
    }

    /// Where to send: the nominated path, or before a nomination the one checked last.
    pub fn selected(&self) -> Option<Path> {
        self.selected
    }

    /// All addresses that belong to the transport.
    pub fn remotes(&self) -> impl Iterator<Item = SocketAddr> {
        self.paths.iter().map(|path| path.remote)
    }

    /// Gives up an address that another transport has taken over.
    pub fn forget(&mut self, remote: SocketAddr) {
        self.paths.retain(|path| path.remote != remote);
        if self.selected.is_some_and(|path| path.remote == remote) {
            self.selected = None;
            self.is_nominated = false;
        }
    }

    /// Gives up all addresses: the transport has ended.
    pub fn clear(&mut self) {
        self.paths = Vec::new();
        self.selected = None;
    }

    /// Heap memory.
    pub fn memory_bytes(&self) -> usize {
        self.paths.capacity() * size_of::<Path>() + 4 * 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(ufrag: &str) -> IceCredentials {
        IceCredentials { ufrag: ufrag.into(), password: format!("password-of-{ufrag}") }
    }

    fn agent() -> (IceLite, Instant) {
        (IceLite::new(credentials("ours"), credentials("theirs")), Instant::now())
    }

    fn address(port: u16) -> (Option<IpAddr>, SocketAddr) {
        (None, SocketAddr::from(([192, 0, 2, 1], port)))
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
