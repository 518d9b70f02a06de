//! Events as Python sees them.

use media_capture::CaptureEvent;
use media_core::api;
use media_net::EngineEvent;
use pyo3::prelude::*;

use crate::names;

/// What the plane reports; use with ``match``.
#[pyclass(module = "sfu._media", frozen, eq, hash)]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    TransportStateChanged {
        transport: u64,
        state: String,
        reason: String,
    },
    TransportSecured {
        transport: u64,
        dtls_version: String,
        profile: String,
    },
    TransportMoved {
        transport: u64,
        remote: String,
    },
    ProducerStarted {
        producer: u64,
        codec: String,
    },
    ConsumerStarted {
        consumer: u64,
    },
    ProducerDemand {
        producer: u64,
        encodings: Vec<bool>,
    },
    ConsumerLayersChanged {
        consumer: u64,
        current: Option<(u8, u8)>,
        target: Option<(u8, u8)>,
        reason: String,
    },
    AudioProtection {
        producer: u64,
        offsets: Vec<u32>,
        bitrate_bps: Option<u32>,
    },
    UplinkFloor {
        transport: u64,
        bitrate_bps: Option<u32>,
    },
    PlayoutDelay {
        consumer: u64,
        delay_ms: u32,
    },
    AudioLevels {
        room: u64,
        levels: Vec<(u64, u8)>,
    },
    ActiveSpeaker {
        room: u64,
        producer: Option<u64>,
    },
    RoomPanicked {
        room: u64,
        message: String,
    },
    CommandFailed {
        command: String,
        id: u64,
        message: String,
    },
    EventsDropped {
        count: u64,
    },
    CaptureOpened {
        capture: u64,
        at_us: u64,
    },
    CaptureSegmentClosed {
        capture: u64,
        number: u32,
        file: String,
        bytes: u64,
        packets: u64,
        from_us: u64,
        to_us: u64,
        sha256: String,
        sm3: String,
    },
    CaptureGap {
        capture: u64,
        from_us: u64,
        to_us: u64,
        cause: String,
        packets: Option<u64>,
        encoding: Option<u8>,
    },
    CaptureFailed {
        capture: u64,
        cause: String,
        message: String,
    },
    CaptureRestored {
        capture: u64,
    },
    CaptureClosed {
        capture: u64,
        at_us: u64,
    },
    EngineFailed {
        message: String,
    },
}

#[pymethods]
impl Event {
    /// Python syntax. The remote address is left out: it is personal data.
    fn __repr__(&self) -> String {
        let text = |value: &str| format!("'{}'", value.escape_debug());
        match self {
            Event::TransportStateChanged { transport, state, reason } => format!(
                "Event.TransportStateChanged(transport={transport}, state={}, reason={})",
                text(state),
                text(reason)
            ),
            Event::TransportSecured { transport, dtls_version, profile } => format!(
                "Event.TransportSecured(transport={transport}, dtls_version={}, profile={})",
                text(dtls_version),
                text(profile)
            ),
            Event::TransportMoved { transport, .. } => {
                format!("Event.TransportMoved(transport={transport}, remote=...)")
            }
            Event::ProducerStarted { producer, codec } => {
                format!("Event.ProducerStarted(producer={producer}, codec={})", text(codec))
            }
            Event::ConsumerStarted { consumer } => {
                format!("Event.ConsumerStarted(consumer={consumer})")
            }
            Event::ProducerDemand { producer, encodings } => {
                let words: Vec<&str> =
                    encodings.iter().map(|on| if *on { "True" } else { "False" }).collect();
                let words = words.join(", ");
                format!("Event.ProducerDemand(producer={producer}, encodings=[{words}])")
            }
            Event::ConsumerLayersChanged { consumer, current, target, reason } => {
                let layer = |layer: &Option<(u8, u8)>| {
                    layer.map_or("None".into(), |layer| format!("{layer:?}"))
                };
                format!(
                    "Event.ConsumerLayersChanged(consumer={consumer}, current={}, target={}, \
                     reason={})",
                    layer(current),
                    layer(target),
                    text(reason)
                )
            }
            Event::AudioProtection { producer, offsets, bitrate_bps } => {
                let bitrate = bitrate_bps.map_or("None".into(), |bps| bps.to_string());
                format!(
                    "Event.AudioProtection(producer={producer}, offsets={offsets:?}, \
                     bitrate_bps={bitrate})"
                )
            }
            Event::UplinkFloor { transport, bitrate_bps } => {
                let bitrate = bitrate_bps.map_or("None".into(), |bps| bps.to_string());
                format!("Event.UplinkFloor(transport={transport}, bitrate_bps={bitrate})")
            }
            Event::PlayoutDelay { consumer, delay_ms } => {
                format!("Event.PlayoutDelay(consumer={consumer}, delay_ms={delay_ms})")
            }
            Event::AudioLevels { room, levels } => {
                format!("Event.AudioLevels(room={room}, levels={levels:?})")
            }
            Event::ActiveSpeaker { room, producer } => {
                let producer = producer.map_or("None".into(), |id| id.to_string());
                format!("Event.ActiveSpeaker(room={room}, producer={producer})")
            }
            Event::RoomPanicked { room, message } => {
                format!("Event.RoomPanicked(room={room}, message={})", text(message))
            }
            Event::CommandFailed { command, id, message } => format!(
                "Event.CommandFailed(command={}, id={id}, message={})",
                text(command),
                text(message)
            ),
            Event::EventsDropped { count } => format!("Event.EventsDropped(count={count})"),
            Event::CaptureOpened { capture, at_us } => {
                format!("Event.CaptureOpened(capture={capture}, at_us={at_us})")
            }
            Event::CaptureSegmentClosed {
                capture,
                number,
                file,
                bytes,
                packets,
                from_us,
                to_us,
                sha256,
                sm3,
            } => format!(
                "Event.CaptureSegmentClosed(capture={capture}, number={number}, file={}, \
                 bytes={bytes}, packets={packets}, from_us={from_us}, to_us={to_us}, \
                 sha256='{sha256}', sm3='{sm3}')",
                text(file)
            ),
            Event::CaptureGap { capture, from_us, to_us, cause, packets, encoding } => {
                let packets = packets.map_or("None".into(), |count| count.to_string());
                let encoding = encoding.map_or("None".into(), |index| index.to_string());
                format!(
                    "Event.CaptureGap(capture={capture}, from_us={from_us}, to_us={to_us}, \
                     cause='{cause}', packets={packets}, encoding={encoding})"
                )
            }
            Event::CaptureFailed { capture, cause, message } => format!(
                "Event.CaptureFailed(capture={capture}, cause='{cause}', message={})",
                text(message)
            ),
            Event::CaptureRestored { capture } => {
                format!("Event.CaptureRestored(capture={capture})")
            }
            Event::CaptureClosed { capture, at_us } => {
                format!("Event.CaptureClosed(capture={capture}, at_us={at_us})")
            }
            Event::EngineFailed { message } => {
                format!("Event.EngineFailed(message={})", text(message))
            }
        }
    }
}

impl From<EngineEvent> for Event {
    fn from(event: EngineEvent) -> Event {
        match event {
            EngineEvent::Plane(event) => event.into(),
            EngineEvent::Capture(event) => event.into(),
            EngineEvent::Failed { message } => Event::EngineFailed { message },
        }
    }
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<CaptureEvent> for Event {
    fn from(event: CaptureEvent) -> Event {
        match event {
            CaptureEvent::Opened { capture, at_us } => Event::CaptureOpened { capture, at_us },
            CaptureEvent::SegmentClosed { capture, segment } => Event::CaptureSegmentClosed {
                capture,
                number: segment.number,
                sha256: hex(&segment.sha256),
                sm3: hex(&segment.sm3),
                file: segment.file,
                bytes: segment.bytes,
                packets: segment.packets,
                from_us: segment.from_us,
                to_us: segment.to_us,
            },
            CaptureEvent::GapDeclared { capture, gap } => Event::CaptureGap {
                capture,
                from_us: gap.from_us,
                to_us: gap.to_us,
                cause: gap.cause.as_str().into(),
                packets: gap.packets,
                encoding: gap.encoding,
            },
            CaptureEvent::WriteFailed { capture, cause, message } => {
                Event::CaptureFailed { capture, cause: cause.as_str().into(), message }
            }
            CaptureEvent::WriteRestored { capture } => Event::CaptureRestored { capture },
            CaptureEvent::Closed { capture, at_us } => Event::CaptureClosed { capture, at_us },
        }
    }
}

impl From<api::Event> for Event {
    fn from(event: api::Event) -> Event {
        match event {
            api::Event::TransportStateChanged { transport, state, reason } => {
                Event::TransportStateChanged {
                    transport,
                    state: names::state(state).into(),
                    reason: names::reason(reason).into(),
                }
            }
            api::Event::TransportSecured { transport, dtls_version, profile } => {
                Event::TransportSecured {
                    transport,
                    dtls_version: dtls_version.into(),
                    profile: names::profile(profile).into(),
                }
            }
            api::Event::TransportMoved { transport, remote } => {
                Event::TransportMoved { transport, remote: remote.address.to_string() }
            }
            api::Event::ProducerStarted { producer, codec } => {
                Event::ProducerStarted { producer, codec: names::codec(codec).into() }
            }
            api::Event::ConsumerStarted { consumer } => Event::ConsumerStarted { consumer },
            api::Event::ProducerDemand { producer, encodings } => {
                Event::ProducerDemand { producer, encodings }
            }
            api::Event::ConsumerLayersChanged { consumer, current, target, reason } => {
                Event::ConsumerLayersChanged {
                    consumer,
                    current: names::layer(current),
                    target: names::layer(target),
                    reason: reason.as_str().into(),
                }
            }
            api::Event::AudioProtection { producer, offsets, bitrate_bps } => {
                // Of bytes, Python would make `bytes`.
                let offsets = offsets.into_iter().map(u32::from).collect();
                Event::AudioProtection { producer, offsets, bitrate_bps }
            }
            api::Event::UplinkFloor { transport, bitrate_bps } => {
                Event::UplinkFloor { transport, bitrate_bps }
            }
            api::Event::PlayoutDelay { consumer, delay_ms } => {
                Event::PlayoutDelay { consumer, delay_ms }
            }
            api::Event::AudioLevels { room, levels } => Event::AudioLevels { room, levels },
            api::Event::ActiveSpeaker { room, producer } => Event::ActiveSpeaker { room, producer },
            api::Event::RoomPanicked { room, message } => Event::RoomPanicked { room, message },
            api::Event::CommandFailed { command, id, message } => {
                Event::CommandFailed { command: command.into(), id, message }
            }
            api::Event::EventsDropped { count } => Event::EventsDropped { count },
        }
    }
}
