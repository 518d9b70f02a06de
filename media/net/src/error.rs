//! What can go wrong with an engine as a whole.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use media_capture::{RecorderError, Unfinished};

/// The engine could not be started.
#[derive(Debug)]
pub enum EngineError {
    /// A setting is out of range or contradicts another; the text names it and the rule.
    Config(String),
    /// An address could not be bound.
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// An address could not be listened on for ICE over TCP.
    BindTcp {
        /// The address asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// Nothing can be recorded there.
    Recorder {
        /// The directory.
        directory: std::path::PathBuf,
        /// What is wrong.
        source: RecorderError,
    },
    /// The kernel refused a resource other than the address.
    Resource {
        /// What was asked for.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineError::Config(text) => f.write_str(text),
            EngineError::Bind { address, source } => {
                write!(f, "listen: cannot bind UDP {address}: {source}")
            }
            EngineError::BindTcp { address, source } => {
                write!(f, "tcp: cannot listen on TCP {address}: {source}")
            }
            EngineError::Recorder { directory, source } => {
                write!(f, "recording: {}: {source}", directory.display())
            }
            EngineError::Resource { what, source } => write!(f, "cannot create {what}: {source}"),
        }
    }
}

impl std::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            EngineError::Config(_) => None,
            EngineError::Recorder { source, .. } => Some(source),
            EngineError::Bind { source, .. }
            | EngineError::BindTcp { source, .. }
            | EngineError::Resource { source, .. } => Some(source),
        }
    }
}

/// A command was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// The command queue is full: the media thread can't keep up.
    Busy,
    /// The engine was closed or its thread died.
    Closed,
    /// It was not told where to record.
    NoRecorder,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandError::Busy => "the command queue is full",
            CommandError::Closed => "the engine is closed",
            CommandError::NoRecorder => "the engine was not told where to record",
        })
    }
}

impl std::error::Error for CommandError {}

/// Something did not end in time; it is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseTimeout {
    /// The media thread: its port stays taken.
    Media,
    /// The recorder: files are still open.
    Recorder(Unfinished),
}

impl fmt::Display for CloseTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseTimeout::Media => {
                "the media thread did not end in time: it hangs, or other work has all processors"
            }
            CloseTimeout::Recorder(Unfinished::Disk) => {
                "the disk did not take all that was recorded in time: the next start finishes the \
                 files that are open"
            }
            CloseTimeout::Recorder(Unfinished::Died) => {
                "the recorder has died: the next start finishes the files that were open"
            }
        })
    }
}

impl std::error::Error for CloseTimeout {}
