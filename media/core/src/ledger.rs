//! Where every packet went.
//!
//! Packets pass stages. What enters one leaves it: it passes, or it is dropped for a reason, or it
//! still waits. [`EngineCounters::unaccounted`] says what is missing, which is nothing at any
//! moment at which the plane is not at work. The equations are in `docs/operations.md`.

use crate::api::{DropReason, EngineCounters};

/// What happens to packets, one after the other. A closed set: it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stage {
    /// A datagram is told to be STUN, DTLS, RTCP or RTP.
    Datagram,
    /// A connectivity check is answered.
    Stun,
    /// A record is handed to the handshake.
    Dtls,
    /// Compound RTCP is decrypted.
    Rtcp,
    /// One packet of compound RTCP is read.
    Report,
    /// An RTP packet is decrypted and belongs to a track.
    Rtp,
    /// A packet of a track is new media.
    Media,
    /// New media, once for each of its subscriptions.
    Copy,
    /// A packet a subscriber asked for again.
    Nack,
    /// A packet for a subscriber leaves, at once or after waiting its turn.
    Send,
    /// STUN, DTLS and RTCP of our own leave.
    Own,
    /// The kernel takes a datagram.
    Socket,
}

impl Stage {
    /// All values, in declaration order: the index is `stage as usize`.
    pub const ALL: [Stage; 12] = [
        Stage::Datagram,
        Stage::Stun,
        Stage::Dtls,
        Stage::Rtcp,
        Stage::Report,
        Stage::Rtp,
        Stage::Media,
        Stage::Copy,
        Stage::Nack,
        Stage::Send,
        Stage::Own,
        Stage::Socket,
    ];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Datagram => "datagram",
            Stage::Stun => "stun",
            Stage::Dtls => "dtls",
            Stage::Rtcp => "rtcp",
            Stage::Report => "report",
            Stage::Rtp => "rtp",
            Stage::Media => "media",
            Stage::Copy => "copy",
            Stage::Nack => "nack",
            Stage::Send => "send",
            Stage::Own => "own",
            Stage::Socket => "socket",
        }
    }
}

const STAGES: usize = Stage::ALL.len();
const REASONS: usize = DropReason::ALL.len();

/// Packets by stage. What enters some stages is what passed others, and not counted twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    entered: [u64; STAGES],
    passed: [u64; STAGES],
    dropped: [[u64; REASONS]; STAGES],
    /// RTP without payload, which only probes for bandwidth or keeps a path open.
    pub empty_in: u64,
    /// Fillers and padding that were made to be sent.
    pub made: u64,
    /// Packets that wait for their turn to be sent. Known to snapshots only.
    pub waiting: u64,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger {
            entered: [0; STAGES],
            passed: [0; STAGES],
            dropped: [[0; REASONS]; STAGES],
            empty_in: 0,
            made: 0,
            waiting: 0,
        }
    }
}

impl Ledger {
    /// Packets enter a stage.
    #[inline]
    pub(crate) fn enter(&mut self, stage: Stage, count: u64) {
        self.entered[stage as usize] += count;
    }

    /// A packet leaves a stage for what comes after it.
    #[inline]
    pub(crate) fn pass(&mut self, stage: Stage) {
        self.passed[stage as usize] += 1;
    }

    /// Packets go no further.
    #[inline]
    pub(crate) fn discard(&mut self, stage: Stage, reason: DropReason, count: u64) {
        self.dropped[stage as usize][reason as usize] += count;
    }

    /// Packets of one reason that a stage dropped.
    pub fn dropped(&self, stage: Stage, reason: DropReason) -> u64 {
        self.dropped[stage as usize][reason as usize]
    }

    /// Packets a stage dropped.
    pub fn dropped_at(&self, stage: Stage) -> u64 {
        self.dropped[stage as usize].iter().sum()
    }

    /// Dropped packets by reason. Requests of [`Stage::Nack`] are no packets.
    pub fn dropped_by_reason(&self) -> [u64; REASONS] {
        let mut sums = [0; REASONS];
        for (stage, dropped) in Stage::ALL.iter().zip(&self.dropped) {
            if *stage != Stage::Nack {
                sums.iter_mut().zip(dropped).for_each(|(sum, count)| *sum += count);
            }
        }
        sums
    }
}

impl EngineCounters {
    /// Packets that entered a stage.
    pub fn entered(&self, stage: Stage) -> u64 {
        let Ledger { entered, passed, made, .. } = &self.ledger;
        match stage {
            Stage::Media => self.rtp_packets_in.iter().sum(),
            Stage::Send => passed[Stage::Copy as usize] + passed[Stage::Nack as usize] + made,
            Stage::Socket => passed[Stage::Send as usize] + passed[Stage::Own as usize],
            _ => entered[stage as usize],
        }
    }

    /// Packets that passed a stage; for [`Stage::Socket`] what its owner counted.
    pub fn passed(&self, stage: Stage) -> u64 {
        match stage {
            Stage::Datagram => [Stage::Stun, Stage::Dtls, Stage::Rtcp, Stage::Rtp]
                .map(|next| self.entered(next))
                .iter()
                .sum(),
            Stage::Rtcp => self.rtcp_packets_in,
            Stage::Rtp => self.rtp_packets_in.iter().sum(),
            Stage::Media => self.ledger.passed[Stage::Media as usize] + self.ledger.empty_in,
            _ => self.ledger.passed[stage as usize],
        }
    }

    /// What entered a stage and is neither past it nor dropped nor waiting. Positive: a packet
    /// vanished; negative: one was counted twice. [`Stage::Socket`] is the affair of its owner.
    pub fn unaccounted(&self, stage: Stage) -> i64 {
        let waiting = if stage == Stage::Send { self.ledger.waiting } else { 0 };
        let left = self.passed(stage) + self.ledger.dropped_at(stage) + waiting;
        match stage {
            Stage::Socket => 0,
            _ => self.entered(stage) as i64 - left as i64,
        }
    }

    /// Packets that were sent to subscribers, less those counted as media, fillers,
    /// retransmissions, echoes or padding: never anything but zero.
    pub fn unclassified(&self) -> i64 {
        let classes = self.rtp_packets_out.iter().sum::<u64>()
            + self.fillers_out
            + self.retransmissions_out
            + self.echoes_out
            + self.padding_out;
        self.passed(Stage::Send) as i64 - classes as i64
    }

    /// What was under way in a room that is gone is dropped.
    pub(crate) fn settle(&mut self) {
        for stage in Stage::ALL {
            let missing = u64::try_from(self.unaccounted(stage)).unwrap_or(0);
            self.ledger.discard(stage, DropReason::RoomGone, missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_vanishes_is_told_and_what_is_dropped_is_not() {
        let mut counters = EngineCounters::default();
        counters.ledger.enter(Stage::Copy, 3);
        counters.ledger.pass(Stage::Copy);
        counters.ledger.discard(Stage::Copy, DropReason::ConsumerPaused, 1);
        assert_eq!(counters.unaccounted(Stage::Copy), 1);
        assert_eq!(counters.unaccounted(Stage::Send), 1, "it neither left nor waits");
        counters.ledger.waiting = 1;
        assert_eq!(counters.unaccounted(Stage::Send), 0);
        counters.ledger.pass(Stage::Send);
        assert_eq!(counters.unaccounted(Stage::Send), -1);
        assert_eq!(counters.unclassified(), 1);
        counters.padding_out += 1;
        assert_eq!(counters.unclassified(), 0);
        counters.settle();
        assert_eq!(counters.unaccounted(Stage::Copy), 0);
        assert_eq!(counters.ledger.dropped(Stage::Copy, DropReason::RoomGone), 1);
    }

    #[test]
    fn requests_are_no_dropped_packets() {
        let mut ledger = Ledger::default();
        ledger.discard(Stage::Nack, DropReason::TooSoon, 7);
        ledger.discard(Stage::Copy, DropReason::Duplicate, 2);
        ledger.discard(Stage::Media, DropReason::Duplicate, 3);
        let sums = ledger.dropped_by_reason();
        assert_eq!(sums[DropReason::Duplicate as usize], 5);
        assert_eq!(sums.iter().sum::<u64>(), 5);
        assert_eq!(ledger.dropped_at(Stage::Nack), 7);
    }

    #[test]
    fn names_are_distinct() {
        let mut names = Stage::ALL.map(Stage::as_str).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STAGES);
        assert!(Stage::ALL.iter().enumerate().all(|(index, stage)| *stage as usize == index));
    }
}
