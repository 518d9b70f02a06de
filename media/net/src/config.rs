//! Settings of an engine.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::time::Duration;

use media_capture::RecorderConfig;
use media_core::PlaneConfig;

use crate::error::EngineError;

/// Longest thread name the kernel keeps, in bytes.
pub const MAX_NAME_BYTES: usize = 15;

/// Allowed sizes of the event queue.
pub const EVENT_QUEUE_RANGE: RangeInclusive<usize> = 16..=1_048_576;

/// Settings of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Thread name, 1 to [`MAX_NAME_BYTES`] bytes without NUL.
    pub name: String,
    /// At most one address per family, all with the same port. Port 0 lets the kernel choose.
    pub listen: Vec<SocketAddr>,
    /// Events kept until drained.
    pub event_queue: usize,
    /// Limits and timeouts of the plane.
    pub plane: PlaneConfig,
    /// ICE over TCP, for clients whose network has no UDP. `None`: not offered.
    pub tcp: Option<TcpConfig>,
    /// Where tracks are recorded. `None`: nowhere.
    pub recorder: Option<RecorderConfig>,
    /// Ask for the real-time class; see [`Scheduling`](crate::Scheduling).
    pub realtime: bool,
}

/// Settings of ICE over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpConfig {
    /// Port to listen on at every address of [`EngineConfig::listen`]; `None`: that of UDP.
    pub port: Option<NonZeroU16>,
    /// Connections at a time. One without an authentic check makes room for a newer one.
    pub max_connections: usize,
    /// The same for one IPv4 address or IPv6 network of 64 bits: offices share one.
    pub max_connections_per_address: usize,
    /// Time in which a connection must bring an authentic check, counted in whole seconds.
    pub authenticate_within: Duration,
}

impl Default for TcpConfig {
    fn default() -> Self {
        TcpConfig {
            port: None,
            max_connections: 1_000,
            max_connections_per_address: 250,
            authenticate_within: Duration::from_secs(10),
        }
    }
}

impl EngineConfig {
    /// Checks everything that can be known without asking the kernel.
    pub(crate) fn validate(&self) -> Result<(), EngineError> {
        let refuse = |text: String| Err(EngineError::Config(text));
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES || self.name.contains('\0') {
            return refuse(format!("name: must be 1..={MAX_NAME_BYTES} bytes without NUL"));
        }
        if !EVENT_QUEUE_RANGE.contains(&self.event_queue) {
            return refuse(format!(
                "event_queue: must be {}..={}, not {}",
                EVENT_QUEUE_RANGE.start(),
                EVENT_QUEUE_RANGE.end(),
                self.event_queue
            ));
        }
        if self.plane.max_rooms == 0 {
            return refuse("max_rooms: must be at least 1".into());
        }
        if self.plane.max_transports == 0 {
            return refuse("max_transports: must be at least 1".into());
        }
        if self.tcp.as_ref().is_some_and(|tcp| tcp.max_connections == 0) {
            return refuse("tcp: max_connections must be at least 1".into());
        }
        if self.tcp.as_ref().is_some_and(|tcp| tcp.max_connections_per_address == 0) {
            return refuse("tcp: max_connections_per_address must be at least 1".into());
        }
        match self.listen.as_slice() {
            [_] => Ok(()),
            [a, b] if a.is_ipv4() == b.is_ipv4() => {
                refuse(format!("listen: {a} and {b} are of one family; at most one per family"))
            }
            [a, b] if a.port() != b.port() => {
                refuse(format!("listen: {a} and {b} must have the same port"))
            }
            [_, _] => Ok(()),
            _ => refuse("listen: one or two addresses, at most one per family".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &[&str]) -> EngineConfig {
        EngineConfig {
            name: "engine".into(),
            listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
            event_queue: 16,
            plane: PlaneConfig::default(),
            tcp: None,
            recorder: None,
            realtime: false,
        }
    }

    fn refusal(config: &EngineConfig) -> String {
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn one_address_or_one_per_family_is_accepted() {
        for listen in [&["127.0.0.1:0"][..], &["[::1]:7"], &["0.0.0.0:7", "[::]:7"]] {
            config(listen).validate().unwrap();
        }
    }

    #[test]
    fn unusable_address_lists_are_refused() {
        for listen in [
            &[][..],
            &["127.0.0.1:1", "127.0.0.2:1"],
            &["[::1]:1", "[::2]:1"],
            &["127.0.0.1:1", "[::1]:2"],
            &["127.0.0.1:0", "[::1]:2"],
            &["127.0.0.1:1", "[::1]:1", "127.0.0.2:1"],
        ] {
            assert!(refusal(&config(listen)).starts_with("listen: "), "{listen:?}");
        }
    }

    #[test]
    fn out_of_range_settings_are_named() {
        let valid = config(&["127.0.0.1:0"]);
        let plane = |change: fn(&mut PlaneConfig)| {
            let mut plane = PlaneConfig::default();
            change(&mut plane);
            EngineConfig { plane, ..valid.clone() }
        };
        let tcp = |change: fn(&mut TcpConfig)| {
            let mut tcp = TcpConfig::default();
            change(&mut tcp);
            EngineConfig { tcp: Some(tcp), ..valid.clone() }
        };
        let cases = [
            ("name: ", EngineConfig { name: String::new(), ..valid.clone() }),
            ("name: ", EngineConfig { name: "sixteen-bytes-xx".into(), ..valid.clone() }),
            ("name: ", EngineConfig { name: "a\0b".into(), ..valid.clone() }),
            ("event_queue: ", EngineConfig { event_queue: 15, ..valid.clone() }),
            ("event_queue: ", EngineConfig { event_queue: 1_048_577, ..valid.clone() }),
            ("max_rooms: ", plane(|plane| plane.max_rooms = 0)),
            ("max_transports: ", plane(|plane| plane.max_transports = 0)),
            ("tcp: max_connections ", tcp(|tcp| tcp.max_connections = 0)),
            ("tcp: max_connections_per", tcp(|tcp| tcp.max_connections_per_address = 0)),
        ];
        for (prefix, config) in cases {
            assert!(refusal(&config).starts_with(prefix), "{config:?}");
        }
    }
}
