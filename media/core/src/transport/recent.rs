//! Connectivity checks that were seen lately, by transaction.
//!
//! A check proves that somebody knew the password when it was made, not that it was sent from
//! where it came. A copy of it has the same transaction and comes from elsewhere.

use is::stun::TransId;

use crate::remote::Remote;

/// Transactions remembered: at a check every 2.5 s on each of two paths, those of the last two
/// and a half minutes. The oldest makes room.
pub const MAX_RECENT: usize = 128;

/// The latest transactions of one transport, and where each came from first.
#[derive(Debug, Default)]
pub struct RecentChecks {
    seen: Vec<(TransId, Remote)>,
    oldest: usize,
}

impl RecentChecks {
    /// Whether the transaction came from another address before. One sent again from the same
    /// address is none.
    pub fn is_copy(&mut self, transaction: TransId, remote: Remote) -> bool {
        if let Some((_, first)) = self.seen.iter().find(|(known, _)| *known == transaction) {
            return *first != remote;
        }
        if self.seen.len() < MAX_RECENT {
            self.seen.push((transaction, remote));
        } else {
            self.seen[self.oldest] = (transaction, remote);
            self.oldest = (self.oldest + 1) % MAX_RECENT;
        }
        false
    }

    /// Heap memory.
    pub fn memory_bytes(&self) -> usize {
        self.seen.capacity() * size_of::<(TransId, Remote)>()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn address(port: u16) -> Remote {
        SocketAddr::from(([192, 0, 2, 1], port)).into()
    }

    #[test]
    fn the_same_transaction_from_elsewhere_is_a_copy() {
        let mut recent = RecentChecks::default();
        let transaction = TransId::new();
        assert!(!recent.is_copy(transaction, address(1)));
        assert!(!recent.is_copy(transaction, address(1)), "sent again");
        assert!(recent.is_copy(transaction, address(2)));
        assert!(recent.is_copy(transaction, address(2)), "also the second time");
        assert!(recent.is_copy(transaction, Remote::tcp(address(1).address)), "over TCP");
        assert!(!recent.is_copy(TransId::new(), address(2)));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut recent = RecentChecks::default();
        let transactions: Vec<TransId> = (0..=MAX_RECENT).map(|_| TransId::new()).collect();
        for transaction in &transactions[..MAX_RECENT] {
            assert!(!recent.is_copy(*transaction, address(1)));
        }
        let full = recent.memory_bytes();
        assert!(recent.is_copy(transactions[0], address(2)));
        assert!(!recent.is_copy(transactions[MAX_RECENT], address(1)));
        assert!(recent.is_copy(transactions[1], address(2)));
        assert!(!recent.is_copy(transactions[0], address(2)), "forgotten");
        assert_eq!(recent.memory_bytes(), full);
    }
}
