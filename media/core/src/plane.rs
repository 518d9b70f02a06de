//! One engine's media plane: all rooms of one thread and its sockets.

use std::any::Any;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::api::{Command, DropReason, Event, RoomId};
use crate::capture::{CaptureSink, Mark};
use crate::certificate::Certificate;
use crate::config::PlaneConfig;
use crate::demux::{PacketKind, classify};
use crate::ledger::Stage;
use crate::remote::Remote;
use crate::room::ahead::{Ahead, Arrival, Work};
use crate::room::{CommandResult, Room, subject};
use crate::rtp::bytes::u32_at;
use crate::shared::{Cx, Location, Shared, TimerKey, TimerKind};
use crate::table::{FastMap, FastState, Key, Slab};
use crate::tap::TapSink;
use crate::transport::TransportParameters;
use crate::transport::dtls;
use crate::transport::stun::{Answer, Check};

/// Where the plane puts the datagrams it wants sent.
pub trait Output {
    /// Sends one datagram, at once or a moment later: what then fails is told to
    /// [`Plane::count_drops`].
    ///
    /// Args: `source` is the local address to send from, where known (multi-homed hosts must
    /// answer from the address they were asked at); `datagram` is only valid during the call.
    ///
    /// # Errors
    ///
    /// The reason why it could not be sent; the plane counts it.
    fn send(
        &mut self,
        source: Option<IpAddr>,
        destination: Remote,
        datagram: &[u8],
    ) -> Result<(), DropReason>;
}

/// All rooms of one engine.
///
/// Work for one room runs under `catch_unwind`: a panic removes that room, with an event, and
/// leaves the others alone.
pub struct Plane {
    pub(crate) rooms: Slab<Box<Room>>,
    room_keys: FastMap<RoomId, Key>,
    pub(crate) shared: Shared,
    /// Of the last snapshot: transports, producers and consumers.
    pub(crate) surveyed: [usize; 3],
}

impl Plane {
    /// Datagrams that [`Plane::prefetch`] looks at together: more would push each other out.
    pub const GROUP: usize = 8;

    /// Makes an empty plane. `wall` is the wall-clock time at `now`: it only sets the NTP
    /// timestamps of sender reports.
    ///
    /// # Panics
    ///
    /// If the configuration's MTU is below 64 bytes or a timeout is zero.
    pub fn new(
        config: PlaneConfig,
        certificate: Arc<Certificate>,
        now: Instant,
        wall: SystemTime,
    ) -> Plane {
        let dtls = dtls::shared_config(config.mtu, config.handshake_timeout)
            .expect("the configuration was checked by the caller");
        let mut shared = Shared::new(config, certificate, dtls, now, wall);
        let hash = FastState::new(shared.random.next_u64());
        Plane {
            rooms: Slab::default(),
            room_keys: FastMap::with_hasher(hash),
            shared,
            surveyed: [0; 3],
        }
    }

    /// Says where tapped packets go; until then [`Command::SetTap`] fails.
    pub fn set_tap(&mut self, sink: Box<dyn TapSink>) {
        self.shared.tap = Some(sink);
    }

    /// Says where captured packets go; until then [`Command::SetCapture`] fails.
    pub fn set_capture(&mut self, sink: Box<dyn CaptureSink>) {
        self.shared.capture = Some(sink);
    }

    /// Takes one received datagram. `local` is the address it arrived at, where known. The
    /// buffer is decrypted in place.
    pub fn receive(
        &mut self,
        now: Instant,
        local: Option<IpAddr>,
        remote: impl Into<Remote>,
        datagram: &mut [u8],
        output: &mut impl Output,
    ) {
        self.receive_all(now, local, remote, [datagram], output);
    }

    /// Takes datagrams that arrived together, as [`Plane::receive`] would one after the other.
    pub fn receive_all<'a>(
        &mut self,
        now: Instant,
        local: Option<IpAddr>,
        remote: impl Into<Remote>,
        datagrams: impl IntoIterator<Item = &'a mut [u8]>,
        output: &mut impl Output,
    ) {
        let remote = remote.into();
        // Media does not change whose address it is, unless the room fails.
        let mut owner = None;
        for datagram in datagrams {
            self.shared.counters.ledger.enter(Stage::Datagram, 1);
            let Some(kind) = classify(datagram) else {
                self.shared.drop_packet(Stage::Datagram, DropReason::Malformed);
                continue;
            };
            let stage = stage_of(kind);
            self.shared.counters.ledger.enter(stage, 1);
            if kind == PacketKind::Stun {
                owner = None;
                self.receive_check(now, local, remote, datagram, output);
                continue;
            }
            owner = owner.or_else(|| self.shared.addresses.get(&remote).copied());
            let Some(Location { room, item }) = owner else {
                self.shared.drop_packet(stage, DropReason::UnknownSource);
                continue;
            };
            let done = self.with_room(now, room, output, |room, cx| {
                room.receive(cx, item, remote, kind, datagram);
            });
            if done.is_none() {
                self.settle();
            }
            owner = owner.filter(|_| done.is_some() && kind != PacketKind::Dtls);
        }
    }

    /// Has the memory fetched that datagrams from these addresses, which arrived together, will
    /// need. To wait for it place by place is a good part of what forwarding costs. At most
    /// [`Plane::GROUP`] are looked at; for nothing but that do they have to be named here.
    pub fn prefetch<'a, R: Into<Remote>>(&self, arriving: impl IntoIterator<Item = (R, &'a [u8])>) {
        let mut group = [const { Ahead::Done }; Plane::GROUP];
        for (slot, (remote, datagram)) in group.iter_mut().zip(arriving) {
            if let Some(kind @ (PacketKind::Rtp | PacketKind::Rtcp)) = classify(datagram)
                && let Some(location) = self.shared.addresses.get(&remote.into())
                && let Some(room) = self.rooms.get(location.room)
            {
                let ssrc_at = if kind == PacketKind::Rtp { 8 } else { 4 };
                let Some(ssrc) = u32_at(datagram, ssrc_at) else { continue };
                *slot = match kind {
                    PacketKind::Rtp => room.ahead(Arrival { transport: location.item, ssrc }),
                    _ => room.ahead_of(location.item, Work::Read(ssrc)),
                };
            }
        }
        Ahead::finish(&mut group);
    }

    fn receive_check(
        &mut self,
        now: Instant,
        local: Option<IpAddr>,
        remote: Remote,
        datagram: &[u8],
        output: &mut impl Output,
    ) {
        if let Some(answer) = Answer::parse(datagram) {
            return self.receive_answer(now, remote, &answer, output);
        }
        let check = Check::parse(datagram);
        let found = check.as_ref().and_then(|check| {
            let (ours, _) = check.ufrags()?;
            self.shared.ufrags.get(ours).copied()
        });
        let (Some(check), Some(location)) = (check, found) else {
            return self.shared.drop_packet(Stage::Stun, DropReason::StunUnauthenticated);
        };
        let owner = self.shared.addresses.get(&remote).copied().filter(|owner| *owner != location);
        let is_foreign = owner.is_some_and(|owner| self.is_alive(now, owner, output));
        let done = self.with_room(now, location.room, output, |room, cx| {
            match room.transports.get_mut(location.item) {
                Some(transport) => transport.on_check(cx, local, remote, &check, is_foreign),
                None => cx.drop_packet(Stage::Stun, DropReason::TransportClosed),
            }
        });
        if done.is_none() {
            self.settle();
        }
        if let Some(owner) = owner
            && self.shared.addresses.get(&remote) == Some(&location)
            && let Some(room) = self.rooms.get_mut(owner.room)
            && let Some(transport) = room.transports.get_mut(owner.item)
        {
            transport.ice.forget(remote);
        }
    }

    /// An answer to a check of ours, which only whoever has the address can give.
    fn receive_answer(
        &mut self,
        now: Instant,
        remote: Remote,
        answer: &Answer<'_>,
        output: &mut impl Output,
    ) {
        let Some(location) = self.shared.addresses.get(&remote).copied() else {
            return self.shared.drop_packet(Stage::Stun, DropReason::UnknownSource);
        };
        let done = self.with_room(now, location.room, output, |room, cx| {
            match room.transports.get_mut(location.item) {
                Some(transport) => transport.on_answer(cx, remote, answer),
                None => cx.drop_packet(Stage::Stun, DropReason::TransportClosed),
            }
        });
        if done.is_none() {
            self.settle();
        }
    }

    /// Whether the address belongs to a transport: a check from there was authentic.
    pub fn knows(&self, remote: impl Into<Remote>) -> bool {
        self.shared.addresses.contains_key(&remote.into())
    }

    /// The connection to `remote` ended: nothing more is sent there.
    pub fn disconnect(&mut self, now: Instant, remote: Remote, output: &mut impl Output) {
        let Some(location) = self.shared.addresses.get(&remote).copied() else { return };
        self.with_room(now, location.room, output, |room, cx| {
            if let Some(transport) = room.transports.get_mut(location.item) {
                transport.on_disconnected(cx, remote);
            }
        });
    }

    /// Whether the transport heard from its remote side lately: nobody can take its address
    /// away by forging the source of a check.
    fn is_alive(&mut self, now: Instant, owner: Location, output: &mut impl Output) -> bool {
        let Some(room) = self.rooms.get(owner.room) else { return false };
        let cx = Cx { now, shared: &mut self.shared, output };
        room.transports.get(owner.item).is_some_and(|transport| transport.is_alive(&cx))
    }

    /// Carries out one command. What cannot be done yields [`Event::CommandFailed`].
    pub fn execute(&mut self, now: Instant, command: Command, output: &mut impl Output) {
        let (name, id) = subject(&command);
        if let Err(message) = self.try_execute(now, command, output) {
            self.shared.fail(name, id, message);
        }
    }

    fn try_execute(
        &mut self,
        now: Instant,
        command: Command,
        output: &mut impl Output,
    ) -> CommandResult {
        match command {
            Command::CreateRoom { room } => self.create_room(room),
            Command::CloseRoom { room } => self.close_room(now, room, output),
            Command::InjectPanic { room } => {
                if !self.shared.config.fault_injection {
                    return Err("fault injection is off");
                }
                let key = self.room_key(room)?;
                self.command_room(now, key, output, |room, _| {
                    room.arm_panic();
                    Ok(())
                })
            }
            Command::CreateTransport { room, .. } => {
                let key = self.room_key(room)?;
                self.create_transport(now, key, command, output)
            }
            Command::CloseCapture { capture } => {
                let sink = self.shared.capture.as_mut().ok_or(NO_SINK)?;
                sink.mark(now, capture, Mark::Close);
                Ok(())
            }
            command => {
                let location = self.locate(&command)?;
                let other = self.locate_other(&command)?;
                if other.is_some_and(|other| other.room != location.room) {
                    return Err("producer and consumer are in different rooms");
                }
                let other = other.map(|other| other.item);
                self.command_room(now, location.room, output, |room, cx| {
                    execute_in_room(room, cx, location.item, other, command)
                })
            }
        }
    }

    fn room_key(&self, room: RoomId) -> Result<Key, &'static str> {
        self.room_keys.get(&room).copied().ok_or("no such room")
    }

    /// What the command works on, by the identifier it names first.
    fn locate(&self, command: &Command) -> Result<Location, &'static str> {
        let Shared { transports, producers, consumers, .. } = &self.shared;
        let transport = |id| transports.get(id).copied().ok_or("no such transport");
        let producer = |id| producers.get(id).copied().ok_or("no such producer");
        let consumer = |id| consumers.get(id).copied().ok_or("no such consumer");
        match command {
            Command::RestartIce { transport: id, .. }
            | Command::SetExtensions { transport: id, .. }
            | Command::CloseTransport { transport: id } => transport(id),
            Command::AddProducer { transport: id, producer, .. } => {
                if producers.contains_key(producer) {
                    return Err("the producer exists");
                }
                transport(id)
            }
            Command::AddConsumer { transport: id, consumer, .. } => {
                if consumers.contains_key(consumer) {
                    return Err("the consumer exists");
                }
                transport(id)
            }
            Command::UpdateProducer { producer: id, .. }
            | Command::RemoveProducer { producer: id }
            | Command::SetProducerPaused { producer: id, .. }
            | Command::RequestKeyframe { producer: id }
            | Command::SetCapture { producer: id, .. }
            | Command::SetTap { producer: id, .. }
            | Command::PauseCapture { producer: id, .. } => producer(id),
            Command::UpdateConsumer { consumer: id, .. }
            | Command::SetConsumerSource { consumer: id, .. }
            | Command::SetConsumerPaused { consumer: id, .. }
            | Command::SetConsumerLayers { consumer: id, .. }
            | Command::RemoveConsumer { consumer: id } => consumer(id),
            Command::CreateRoom { .. }
            | Command::CloseRoom { .. }
            | Command::CreateTransport { .. }
            | Command::CloseCapture { .. }
            | Command::InjectPanic { .. } => Err("not a command about a track or transport"),
        }
    }

    /// The producer a consumer is attached to by the command.
    fn locate_other(&self, command: &Command) -> Result<Option<Location>, &'static str> {
        match command {
            Command::AddConsumer { producer, .. } | Command::SetConsumerSource { producer, .. } => {
                self.shared.producers.get(producer).copied().map(Some).ok_or("no such producer")
            }
            _ => Ok(None),
        }
    }

    fn create_room(&mut self, id: RoomId) -> CommandResult {
        if self.room_keys.contains_key(&id) {
            return Err("the room exists");
        }
        if self.rooms.len() >= self.shared.config.max_rooms {
            return Err("the engine has too many rooms");
        }
        let key = self.rooms.insert_with(|key| Box::new(Room::new(id, key)));
        self.shared.rooms = self.rooms.len();
        self.room_keys.insert(id, key);
        Ok(())
    }

    fn close_room(&mut self, now: Instant, id: RoomId, output: &mut impl Output) -> CommandResult {
        let key = self.room_key(id)?;
        self.with_room(now, key, output, |room, cx| room.close(cx));
        self.forget_room(key);
        Ok(())
    }

    fn create_transport(
        &mut self,
        now: Instant,
        room: Key,
        command: Command,
        output: &mut impl Output,
    ) -> CommandResult {
        let parameters =
            TransportParameters::from_command(command).ok_or("not a command for a transport")?;
        if self.shared.transports.contains_key(&parameters.id) {
            return Err("the transport exists");
        }
        if self.shared.transports.len() >= self.shared.config.max_transports {
            return Err("the engine has too many transports");
        }
        if self.shared.ufrags.contains_key(&parameters.local_ice.ufrag) {
            return Err("the ufrag is in use");
        }
        self.command_room(now, room, output, |room, cx| room.create_transport(cx, parameters))
    }

    /// When [`Plane::handle_timeout`] must be called next, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let captured = self.shared.capture.as_ref().and_then(|sink| sink.next_timeout());
        let tapped = self.shared.tap.as_ref().and_then(|sink| sink.next_timeout());
        [self.shared.timers.next(), captured, tapped].into_iter().flatten().min()
    }

    /// Does what has become due by `now`. Calling it early is harmless.
    pub fn handle_timeout(&mut self, now: Instant, output: &mut impl Output) {
        if let Some(sink) = &mut self.shared.capture
            && sink.next_timeout().is_some_and(|due| due <= now)
        {
            sink.handle_timeout(now);
        }
        if let Some(sink) = &mut self.shared.tap
            && sink.next_timeout().is_some_and(|due| due <= now)
        {
            sink.handle_timeout(now);
        }
        loop {
            let mut due = [None; Plane::GROUP];
            for slot in &mut due {
                *slot = self.shared.timers.pop_due(now);
            }
            if due[0].is_none() {
                return;
            }
            self.prefetch_timers(due.iter().flatten().map(|(_, key)| key));
            for (at, key) in due.into_iter().flatten() {
                let room = key.location.room;
                self.with_room(now, room, output, |room, cx| room.on_timer(cx, key, at));
            }
        }
    }

    /// Has fetched what timers of transports will need.
    fn prefetch_timers<'a>(&self, due: impl Iterator<Item = &'a TimerKey>) {
        let mut group = [const { Ahead::Done }; Plane::GROUP];
        for (slot, key) in group.iter_mut().zip(due) {
            if let Some(room) = self.rooms.get(key.location.room)
                && let TimerKind::Repair | TimerKind::Pace | TimerKind::Control = key.kind
            {
                *slot = room.ahead_of(key.location.item, Work::Write);
            }
        }
        Ahead::finish(&mut group);
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop()
    }

    /// Says what the tracks of a subscriber could use, in place of what they do: for scenarios
    /// whose publisher follows the estimate instead of sending layers.
    #[cfg(any(test, feature = "testing"))]
    pub fn pin_wanted_bps(&mut self, transport: u64, wanted_bps: u64) {
        let Some(location) = self.shared.transports.get(&transport).copied() else { return };
        if let Some(room) = self.rooms.get_mut(location.room)
            && let Some(transport) = room.transports.get_mut(location.item)
        {
            transport.pinned_wanted_bps = Some(wanted_bps);
        }
    }

    /// Sets what may be sent to a transport, in place of an estimate. `None`: no limit.
    #[cfg(any(test, feature = "testing"))]
    pub fn set_budget(
        &mut self,
        now: Instant,
        transport: crate::api::TransportId,
        budget_bps: Option<u64>,
        output: &mut impl Output,
    ) {
        let Some(location) = self.shared.transports.get(&transport).copied() else { return };
        self.with_room(now, location.room, output, |room, cx| {
            if let Some(transport) = room.transports.get_mut(location.item) {
                transport.budget_bps = budget_bps;
                transport.layers_bps = budget_bps;
            }
            room.allocate(cx, location.item);
        });
    }

    /// Adds the time between kernel receipt and send of some packets to the histogram.
    pub fn record_forward_delay(&mut self, delay: Duration, packets: u64) {
        self.shared.record_forward_delay(delay, packets);
    }

    /// Counts datagrams that were handed to [`Output`] and then could not be sent after all.
    pub fn count_drops(&mut self, reason: DropReason, count: u64) {
        self.shared.counters.ledger.discard(Stage::Socket, reason, count);
    }

    /// Entries of all tables together: zero when every room is gone.
    pub fn table_entries(&self) -> usize {
        let Shared { addresses, ufrags, transports, producers, consumers, .. } = &self.shared;
        self.rooms.len()
            + self.room_keys.len()
            + addresses.len()
            + ufrags.len()
            + transports.len()
            + producers.len()
            + consumers.len()
    }

    fn command_room(
        &mut self,
        now: Instant,
        room: Key,
        output: &mut impl Output,
        action: impl FnOnce(&mut Room, &mut Cx) -> CommandResult,
    ) -> CommandResult {
        self.with_room(now, room, output, action).unwrap_or(Err("the room is gone"))
    }

    /// Runs work of one room. `None` if there is no such room, or none any more.
    #[inline]
    fn with_room<T>(
        &mut self,
        now: Instant,
        key: Key,
        output: &mut impl Output,
        action: impl FnOnce(&mut Room, &mut Cx) -> T,
    ) -> Option<T> {
        let room = self.rooms.get_mut(key)?;
        let mut cx = Cx { now, shared: &mut self.shared, output };
        // What may be left inconsistent by a panic is the room, and that is removed. Of what
        // rooms share, tables are cleaned then, and the rest consists of single values.
        match catch_unwind(AssertUnwindSafe(|| action(room, &mut cx))) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.remove_panicked(key, &message_of(panic.as_ref()));
                None
            }
        }
    }

    #[cold]
    fn remove_panicked(&mut self, key: Key, message: &str) {
        let Some(id) = self.rooms.get(key).map(|room| room.id) else { return };
        self.shared.counters.room_panics += 1;
        self.shared.reset_scratch();
        self.forget_room(key);
        self.settle();
        self.shared.events.push(Event::RoomPanicked { room: id, message: message.into() });
    }

    /// Writes off what was under way in a room that is gone.
    #[cold]
    fn settle(&mut self) {
        let transports = self.rooms.iter_mut().flat_map(|(_, room)| room.transports.iter());
        let waiting: usize = transports.map(|(_, transport)| transport.pacer.len()).sum();
        self.shared.counters.ledger.waiting = waiting as u64;
        self.shared.counters.settle();
        self.shared.counters.ledger.waiting = 0;
    }

    fn forget_room(&mut self, key: Key) {
        if let Some(room) = self.rooms.remove(key) {
            self.shared.rooms = self.rooms.len();
            self.room_keys.remove(&room.id);
            self.shared.forget_room(key);
        }
    }
}

/// Why nothing can be captured.
pub(crate) const NO_SINK: &str = "nothing was set up to capture into";
/// Why nothing can be tapped.
pub(crate) const NO_TAP_SINK: &str = "nothing was set up to take what is tapped";

fn stage_of(kind: PacketKind) -> Stage {
    match kind {
        PacketKind::Stun => Stage::Stun,
        PacketKind::Dtls => Stage::Dtls,
        PacketKind::Rtp => Stage::Rtp,
        PacketKind::Rtcp => Stage::Rtcp,
    }
}

fn execute_in_room(
    room: &mut Room,
    cx: &mut Cx,
    item: Key,
    other: Option<Key>,
    command: Command,
) -> CommandResult {
    let source = other.ok_or("no such producer");
    match command {
        Command::RestartIce { local_ice, remote_ice, .. } => {
            room.restart_ice(cx, item, local_ice, remote_ice)
        }
        Command::SetExtensions { extensions, .. } => room.set_extensions(cx, item, &extensions),
        Command::CloseTransport { .. } => room.close_transport(cx, item),
        Command::AddProducer { producer, parameters, .. } => {
            room.add_producer(cx, item, producer, parameters)
        }
        Command::UpdateProducer { parameters, .. } => room.update_producer(cx, item, parameters),
        Command::RemoveProducer { .. } => room.remove_producer(cx, item),
        Command::SetProducerPaused { paused, .. } => room.pause_producer(cx, item, paused),
        Command::RequestKeyframe { .. } => room.keyframe_command(cx, item),
        Command::SetCapture { capture, .. } => room.set_capture(cx, item, capture),
        Command::SetTap { wish, .. } => room.set_tap(cx, item, wish),
        Command::PauseCapture { paused, .. } => room.pause_capture(cx, item, paused),
        Command::AddConsumer { consumer, parameters, .. } => {
            room.add_consumer(cx, item, source?, consumer, parameters)
        }
        Command::UpdateConsumer { parameters, .. } => room.update_consumer(item, parameters),
        Command::SetConsumerSource { .. } => room.set_consumer_source(cx, item, source?),
        Command::SetConsumerPaused { paused, .. } => room.pause_consumer(cx, item, paused),
        Command::SetConsumerLayers { wish, .. } => room.set_consumer_layers(cx, item, wish),
        Command::RemoveConsumer { .. } => room.remove_consumer(cx, item),
        Command::CreateRoom { .. }
        | Command::CloseRoom { .. }
        | Command::CreateTransport { .. }
        | Command::CloseCapture { .. }
        | Command::InjectPanic { .. } => Err("not a command about a track or transport"),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".into())
}
