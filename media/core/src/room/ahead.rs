//! Has the memory fetched that arriving datagrams will need.
//!
//! What a packet needs hangs together by pointers: address, room, transport, track, subscriptions,
//! their transports, and the tables of each. [`Ahead::finish`] goes one pointer further for each
//! of several datagrams (or timers) in turn, so that the memory of one is on its way while the
//! next is looked at. It changes nothing, and what it misses is only slower.

use media_prefetch::{prefetch, prefetch_all, prefetch_span};

use super::Room;
use crate::consumer::Consumer;
use crate::producer::Producer;
use crate::table::Key;
use crate::transport::{Stream, Transport};
use crate::voice::VoiceOutput;

/// Subscriptions of a track whose memory is fetched ahead.
const MAX_CONSUMERS: usize = 4;

/// How far it got for one datagram.
#[derive(Default)]
pub(crate) enum Ahead<'a> {
    /// Nothing more to fetch.
    #[default]
    Done,
    Room(&'a Room, Arrival),
    Sender(&'a Room, Arrival),
    Transport(&'a Room, &'a Transport, Arrival),
    Stream(&'a Room, &'a Transport, Arrival),
    Track(&'a Room, Stream),
    Producer(&'a Room, &'a Producer, Stream),
    Keys(&'a Room, &'a [Key]),
    Consumers(&'a Room, &'a [Key]),
    Receivers(&'a Room, [Option<&'a Consumer>; MAX_CONSUMERS]),
    Subscribers([Option<(&'a Consumer, &'a Transport)>; MAX_CONSUMERS]),
    Records([Option<(&'a Consumer, &'a Transport)>; MAX_CONSUMERS]),
    /// RTCP or a timer.
    Control(&'a Room, Key, Work),
    ControlTransport(&'a Room, Key, Work),
    ControlTables(&'a Room, &'a Transport, Work),
    ControlRecords(&'a Room, &'a Transport, Work),
    ControlConsumers(&'a Room, &'a Transport),
    ControlVoices([Option<&'a Consumer>; MAX_CONSUMERS]),
    ControlPackets([Option<&'a VoiceOutput>; MAX_CONSUMERS]),
}

/// What is done for a transport besides media.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Mostly, feedback about what was sent is read; the SSRC of who sent it.
    Read(u32),
    /// Mostly, feedback about what was received is written.
    Write,
}

/// What is known of an RTP packet before it is decrypted.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) transport: Key,
    pub(crate) ssrc: u32,
}

impl Room {
    /// Begins with a packet for the room.
    #[inline]
    pub(crate) fn ahead(&self, arrival: Arrival) -> Ahead<'_> {
        prefetch_all(&self.transports);
        prefetch_all(&self.producers);
        prefetch_all(&self.consumers);
        prefetch(&self.panic_armed);
        Ahead::Room(self, arrival)
    }

    /// Begins with something else for a transport.
    #[inline]
    pub(crate) fn ahead_of(&self, transport: Key, work: Work) -> Ahead<'_> {
        prefetch_all(&self.transports);
        Ahead::Control(self, transport, work)
    }
}

impl<'a> Ahead<'a> {
    /// Pointers from a room to the last of what it knows.
    const STEPS: usize = 11;

    /// Has fetched all that can be known, one pointer of each at a time.
    #[inline]
    pub(crate) fn finish(group: &mut [Ahead<'a>]) {
        for _ in 0..Ahead::STEPS {
            for ahead in &mut *group {
                *ahead = std::mem::take(ahead).next().unwrap_or_default();
            }
        }
        debug_assert!(group.iter().all(|ahead| matches!(ahead, Ahead::Done)), "steps are missing");
    }

    #[inline]
    fn next(self) -> Option<Ahead<'a>> {
        Some(match self {
            Ahead::Done => return None,
            Ahead::Room(room, arrival) => {
                room.transports.prefetch(arrival.transport);
                Ahead::Sender(room, arrival)
            }
            Ahead::Sender(room, arrival) => {
                let transport = room.transports.get(arrival.transport)?;
                transport.prefetch_receiving();
                Ahead::Transport(room, transport, arrival)
            }
            Ahead::Transport(room, transport, arrival) => {
                transport.prefetch_receiving_tables();
                Ahead::Stream(room, transport, arrival)
            }
            Ahead::Stream(room, transport, arrival) => {
                if let Some(srtp) = &transport.srtp {
                    srtp.remote.prefetch_source(arrival.ssrc);
                }
                let stream = transport.stream(arrival.ssrc)?;
                room.producers.prefetch(stream.producer);
                Ahead::Track(room, stream)
            }
            Ahead::Track(room, stream) => {
                let producer = room.producers.get(stream.producer)?;
                prefetch_all(producer);
                Ahead::Producer(room, producer, stream)
            }
            Ahead::Producer(room, producer, stream) => {
                prefetch(&producer.codecs[..]);
                prefetch(&producer.consumers[..]);
                producer.encodings.get(stream.encoding)?.prefetch();
                Ahead::Keys(room, &producer.consumers)
            }
            Ahead::Keys(room, keys) => {
                keys.iter().take(MAX_CONSUMERS).for_each(|key| room.consumers.prefetch(*key));
                Ahead::Consumers(room, keys)
            }
            Ahead::Consumers(room, keys) => {
                let mut found = [None; MAX_CONSUMERS];
                for (slot, key) in found.iter_mut().zip(keys) {
                    let Some(consumer) = room.consumers.get(*key) else { continue };
                    consumer.prefetch();
                    room.transports.prefetch(consumer.transport);
                    *slot = Some(consumer);
                }
                Ahead::Receivers(room, found)
            }
            Ahead::Receivers(room, consumers) => Ahead::Subscribers(consumers.map(|consumer| {
                let consumer = consumer?;
                let transport = room.transports.get(consumer.transport)?;
                transport.prefetch_sending();
                Some((consumer, transport))
            })),
            Ahead::Subscribers(found) => {
                for (consumer, transport) in found.iter().flatten() {
                    consumer.prefetch_tables();
                    transport.prefetch_sending_tables();
                }
                Ahead::Records(found)
            }
            Ahead::Records(found) => {
                for (consumer, transport) in found.iter().flatten() {
                    if let Some(srtp) = &transport.srtp {
                        srtp.local.prefetch_source(consumer.parameters.ssrc);
                    }
                    if let Some(estimator) = &transport.estimator {
                        estimator.prefetch_records();
                    }
                }
                Ahead::Done
            }
            Ahead::Control(room, key, work) => {
                room.transports.prefetch(key);
                Ahead::ControlTransport(room, key, work)
            }
            Ahead::ControlTransport(room, key, work) => {
                let transport = room.transports.get(key)?;
                match work {
                    Work::Read(_) => transport.prefetch_fates(),
                    Work::Write => transport.prefetch_reporting(),
                }
                Ahead::ControlTables(room, transport, work)
            }
            Ahead::ControlTables(room, transport, work) => {
                if let Some(srtp) = &transport.srtp {
                    match work {
                        Work::Read(_) => srtp.remote.prefetch_rtcp(),
                        Work::Write => srtp.local.prefetch_rtcp(),
                    }
                }
                transport.ice.prefetch_path();
                if let Work::Read(_) = work {
                    prefetch(&transport.consumers[..]);
                    if let Some(estimator) = &transport.estimator {
                        prefetch_all(&**estimator);
                    }
                }
                Ahead::ControlRecords(room, transport, work)
            }
            Ahead::ControlRecords(room, transport, work) => {
                let Work::Read(ssrc) = work else {
                    transport.twcc.prefetch_unreported();
                    if let Some(srtp) = &transport.srtp {
                        srtp.local.prefetch_rtcp_source(transport.feedback_ssrc);
                    }
                    return None;
                };
                if let Some(srtp) = &transport.srtp {
                    srtp.remote.prefetch_rtcp_source(ssrc);
                }
                if let Some(estimator) = &transport.estimator {
                    estimator.prefetch_unanswered();
                }
                for consumer in transport.consumers.iter().take(MAX_CONSUMERS) {
                    room.consumers.prefetch_begin(*consumer);
                }
                Ahead::ControlConsumers(room, transport)
            }
            Ahead::ControlConsumers(room, transport) => {
                let mut found = [None; MAX_CONSUMERS];
                for (slot, key) in found.iter_mut().zip(&transport.consumers) {
                    *slot = room.consumers.get(*key);
                }
                Ahead::ControlVoices(found)
            }
            Ahead::ControlVoices(found) => {
                let voices = found.map(|consumer| consumer?.voice.as_deref());
                voices.iter().flatten().for_each(|voice| prefetch_all(*voice));
                Ahead::ControlPackets(voices)
            }
            Ahead::ControlPackets(voices) => {
                voices.iter().flatten().for_each(|voice| voice.prefetch_pending());
                Ahead::Done
            }
        })
    }
}

impl Transport {
    /// What every packet received needs of the transport itself, behind its beginning.
    #[inline]
    fn prefetch_receiving(&self) {
        if let Some(srtp) = &self.srtp {
            srtp.remote.prefetch_places();
        }
        prefetch_span(&self.requests_due, &self.twcc);
        prefetch(&self.uplink);
    }

    /// What every packet sent needs of the transport itself, behind its beginning.
    #[inline]
    fn prefetch_sending(&self) {
        if let Some(srtp) = &self.srtp {
            srtp.local.prefetch_places();
        }
        prefetch(&self.reach.has_lapsed);
        self.pacer.prefetch();
    }

    /// What feedback about packets sent needs of the transport itself, behind its beginning.
    #[inline]
    fn prefetch_fates(&self) {
        if let Some(srtp) = &self.srtp {
            srtp.remote.prefetch_rtcp_places();
        }
        self.pacer.prefetch();
        prefetch_span(&self.consumers, &self.protection);
    }

    /// What feedback about packets received needs of the transport itself, behind its beginning.
    #[inline]
    fn prefetch_reporting(&self) {
        if let Some(srtp) = &self.srtp {
            srtp.local.prefetch_rtcp_places();
        }
        prefetch(&self.reach.has_lapsed);
        prefetch_span(&self.requests_due, &self.twcc_writer);
    }

    /// What is behind pointers, for a packet received.
    #[inline]
    fn prefetch_receiving_tables(&self) {
        if let Some(srtp) = &self.srtp {
            srtp.remote.prefetch();
        }
        self.ice.prefetch_path();
        self.twcc.prefetch();
        prefetch(&self.streams[..]);
    }

    /// What is behind pointers, for a packet sent.
    #[inline]
    fn prefetch_sending_tables(&self) {
        if let Some(srtp) = &self.srtp {
            srtp.local.prefetch();
        }
        if let Some(estimator) = &self.estimator {
            estimator.prefetch();
        }
        self.ice.prefetch_path();
    }
}

impl Consumer {
    #[inline]
    fn prefetch(&self) {
        prefetch_span(&self.packets, &self.rewriter);
        self.responder.prefetch();
        prefetch_all(&self.pictures);
    }

    #[inline]
    fn prefetch_tables(&self) {
        self.rewriter.prefetch();
        self.prefetch_payload_types();
        self.prefetch_era();
        prefetch(self.parameters.mid.as_bytes());
    }
}
