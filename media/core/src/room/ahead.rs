//! Has the memory fetched that arriving datagrams will need.
//!
//! What a packet needs hangs together by pointers: address, room, transport, track, subscriptions,
//! their transports, and the tables of each. [`Ahead::finish`] goes one pointer further for each
//! of several datagrams (or timers) in turn, so that the memory of one is on its way while the
//! next is looked at. It changes nothing, and what it misses is only slower.

use media_prefetch::{prefetch, prefetch_all};

use super::Room;
use crate::consumer::Consumer;
use crate::producer::Producer;
use crate::table::Key;
use crate::transport::{Stream, Transport};

/// Subscriptions of a track whose memory is fetched ahead.
const MAX_CONSUMERS: usize = 4;

/// How far it got for one datagram.
#[derive(Default)]
pub(crate) enum Ahead<'a> {
    /// Nothing more to fetch.
    #[default]
    Done,
    Room(&'a Room, Arrival),
    Transport(&'a Room, &'a Transport, Arrival),
    Stream(&'a Room, &'a Transport, Arrival),
    Producer(&'a Room, &'a Producer, Stream),
    Consumers(&'a Room, &'a [Key]),
    Subscribers([Option<(&'a Consumer, &'a Transport)>; MAX_CONSUMERS]),
    Records([Option<(&'a Consumer, &'a Transport)>; MAX_CONSUMERS]),
    /// RTCP or a timer.
    Control(&'a Room, Key, Work),
    ControlTables(&'a Transport, Work),
    ControlRecords(&'a Transport, Work),
}

/// What is done for a transport besides media.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Mostly, feedback about what was sent is read.
    Read,
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
    const STEPS: usize = 7;

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
                let producer = room.producers.get(stream.producer)?;
                prefetch_all(producer);
                Ahead::Producer(room, producer, stream)
            }
            Ahead::Producer(room, producer, stream) => {
                prefetch(&producer.codecs[..]);
                prefetch(&producer.consumers[..]);
                producer.encodings.get(stream.encoding)?.prefetch();
                Ahead::Consumers(room, &producer.consumers)
            }
            Ahead::Consumers(room, keys) => {
                let mut found = [None; MAX_CONSUMERS];
                for (slot, key) in found.iter_mut().zip(keys) {
                    let Some(consumer) = room.consumers.get(*key) else { continue };
                    consumer.prefetch();
                    let Some(transport) = room.transports.get(consumer.transport) else { continue };
                    transport.prefetch_sending();
                    *slot = Some((consumer, transport));
                }
                Ahead::Subscribers(found)
            }
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
                let transport = room.transports.get(key)?;
                transport.prefetch_receiving();
                if work == Work::Read {
                    transport.prefetch_sending();
                }
                Ahead::ControlTables(transport, work)
            }
            Ahead::ControlTables(transport, work) => {
                if let Some(srtp) = &transport.srtp {
                    srtp.remote.prefetch_rtcp();
                }
                transport.ice.prefetch_path();
                if let (Work::Read, Some(estimator)) = (work, &transport.estimator) {
                    prefetch_all(&**estimator);
                }
                Ahead::ControlRecords(transport, work)
            }
            Ahead::ControlRecords(transport, work) => {
                match (work, &transport.estimator) {
                    (Work::Read, Some(estimator)) => estimator.prefetch_unanswered(),
                    (Work::Read, None) => {}
                    (Work::Write, _) => transport.twcc.prefetch_unreported(),
                }
                Ahead::Done
            }
        })
    }
}

impl Transport {
    /// What every packet received needs of the transport itself.
    #[inline]
    fn prefetch_receiving(&self) {
        if let Some(srtp) = &self.srtp {
            prefetch_all(&srtp.remote);
        }
        prefetch_all(&self.streams);
        prefetch_all(&self.twcc);
        prefetch_all(&self.repair);
        prefetch(&self.bytes_in);
        self.prefetch_common();
    }

    /// What every packet sent needs of the transport itself.
    #[inline]
    fn prefetch_sending(&self) {
        if let Some(srtp) = &self.srtp {
            prefetch_all(&srtp.local);
        }
        self.pacer.prefetch();
        prefetch(&self.estimator);
        prefetch(&self.bytes_out);
        self.prefetch_common();
    }

    #[inline]
    fn prefetch_common(&self) {
        prefetch(&self.extensions);
        self.ice.prefetch();
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
        prefetch_all(&self.rewriter);
        prefetch_all(&self.layers);
        prefetch_all(&self.pictures);
        prefetch_all(&self.parameters);
        prefetch(&self.encoding);
        prefetch(&self.packets);
        self.responder.prefetch();
    }

    #[inline]
    fn prefetch_tables(&self) {
        self.rewriter.prefetch();
        self.prefetch_payload_types();
        prefetch(self.parameters.mid.as_bytes());
    }
}
