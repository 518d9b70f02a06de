//! Where a datagram came from or goes to.

use std::fmt;
use std::net::SocketAddr;

/// What carries datagrams to a remote address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A UDP socket.
    Udp,
    /// A TCP connection the remote side opened, with framing (RFC 6544, RFC 4571).
    Tcp,
}

impl Protocol {
    /// Both, in the order of preference.
    pub const ALL: [Protocol; 2] = [Protocol::Udp, Protocol::Tcp];

    /// Lower-case name; a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
        }
    }
}

/// A remote address: the same address and port over UDP and over TCP are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Remote {
    /// How to get there.
    pub protocol: Protocol,
    /// Address and port.
    pub address: SocketAddr,
}

impl Remote {
    /// The other end of a TCP connection.
    pub fn tcp(address: SocketAddr) -> Remote {
        Remote { protocol: Protocol::Tcp, address }
    }
}

/// An address alone is one of UDP.
impl From<SocketAddr> for Remote {
    fn from(address: SocketAddr) -> Remote {
        Remote { protocol: Protocol::Udp, address }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol.as_str(), self.address)
    }
}
