//! What happened to connections, in numbers.

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Refused {
    /// As many as allowed are open, all of them in use.
    TotalLimit,
    /// The same for one address.
    AddressLimit,
    /// The process has no descriptor left, or the kernel no memory.
    NoDescriptor,
    /// It ended before it was taken.
    Broken,
}

impl Refused {
    /// All values: the index is `reason as usize`.
    pub const ALL: [Refused; 4] =
        [Refused::TotalLimit, Refused::AddressLimit, Refused::NoDescriptor, Refused::Broken];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Refused::TotalLimit => "total_limit",
            Refused::AddressLimit => "address_limit",
            Refused::NoDescriptor => "no_descriptor",
            Refused::Broken => "broken",
        }
    }
}

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Closed {
    /// By the remote side, or the network.
    Remote,
    /// No authentic check came in time, or the transport it served has ended.
    Unused,
    /// What came were no frames.
    Malformed,
    /// The same address and port connected anew.
    Replaced,
    /// It had no authentic check yet, and a newer connection needed its place.
    MadeRoom,
}

impl Closed {
    /// All values: the index is `reason as usize`.
    pub const ALL: [Closed; 5] =
        [Closed::Remote, Closed::Unused, Closed::Malformed, Closed::Replaced, Closed::MadeRoom];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Closed::Remote => "remote",
            Closed::Unused => "unused",
            Closed::Malformed => "malformed",
            Closed::Replaced => "replaced",
            Closed::MadeRoom => "made_room",
        }
    }
}

/// Connections of one engine; all but the first are totals since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpStats {
    /// Open now.
    pub connections: u64,
    /// Taken.
    pub accepted: u64,
    /// Not taken, by [`Refused`].
    pub refused: [u64; Refused::ALL.len()],
    /// Closed, by [`Closed`].
    pub closed: [u64; Closed::ALL.len()],
}
