//! Commands that concern one room.

use super::Room;
use crate::api::{
    CloseReason, Command, ConsumerId, ConsumerParameters, ExtensionId, ExtensionKind,
    IceCredentials, Layer, LayerSwitchReason, MediaKind, ProducerId, ProducerParameters,
    TransportId,
};
use crate::consumer::{Consumer, Interruption};
use crate::ext::ExtensionMap;
use crate::producer::{Producer, check_codecs, check_parameters};
use crate::shared::{Cx, TimerKind};
use crate::table::Key;
use crate::transport::{MAX_STREAMS, Stream, Transport, TransportParameters};

/// What is wrong with a command; reported as `CommandFailed`.
pub(crate) type CommandResult = Result<(), &'static str>;

/// Longest CNAME that is accepted, in bytes.
const MAX_CNAME: usize = 255;
/// Longest MID that fits the one-byte form of its header extension.
const MAX_MID: usize = 16;

impl Room {
    /// Adds a transport; its identifier and ufrag are unique, as the plane has checked.
    pub(crate) fn create_transport(
        &mut self,
        cx: &mut Cx,
        parameters: TransportParameters,
    ) -> CommandResult {
        if self.transports.len() >= cx.shared.config.max_transports_per_room {
            return Err("the room is full");
        }
        let (id, ufrag) = (parameters.id, parameters.local_ice.ufrag.clone());
        let room = self.key;
        let key = self.transports.insert_with(|item| {
            let location = crate::shared::Location { room, item };
            Transport::new(parameters, location, cx)
        });
        let location = self.location(key);
        cx.shared.transports.insert(id, location);
        cx.shared.ufrags.insert(ufrag, location);
        let deadline = cx.now + cx.shared.config.handshake_timeout;
        if let Some(transport) = self.transports.get_mut(key) {
            transport.schedule(cx, TimerKind::Control, deadline);
        }
        Ok(())
    }

    pub(crate) fn restart_ice(
        &mut self,
        cx: &mut Cx,
        key: Key,
        local: IceCredentials,
        remote: IceCredentials,
    ) -> CommandResult {
        let location = self.location(key);
        let transport = self.transports.get_mut(key).ok_or("no such transport")?;
        if !transport.is_open() {
            return Err("the transport has ended");
        }
        if cx.shared.ufrags.get(&local.ufrag).is_some_and(|owner| *owner != location) {
            return Err("the ufrag is in use");
        }
        let ufrag = local.ufrag.clone();
        if let Some(replaced) = transport.ice.restart(local, remote) {
            cx.shared.ufrags.remove(&replaced);
        }
        cx.shared.ufrags.insert(ufrag, location);
        Ok(())
    }

    /// Takes over the ids of header extensions. Without transport-wide numbers no feedback comes
    /// any more: what was known of the path by it ends with them.
    pub(crate) fn set_extensions(
        &mut self,
        cx: &mut Cx,
        key: Key,
        extensions: &[ExtensionId],
    ) -> CommandResult {
        let transport = self.transports.get_mut(key).ok_or("no such transport")?;
        let map =
            ExtensionMap::new(extensions).map_err(|_| "an extension id is invalid or repeated")?;
        let before = std::mem::replace(&mut transport.extensions, map);
        let is_numbered = |map: &ExtensionMap| map.id(ExtensionKind::TransportCc).is_some();
        if is_numbered(&before) && !is_numbered(&transport.extensions) {
            self.end_estimate(cx, key);
        }
        Ok(())
    }

    /// Ends a transport and removes its tracks.
    pub(crate) fn close_transport(&mut self, cx: &mut Cx, key: Key) -> CommandResult {
        let transport = self.transports.get_mut(key).ok_or("no such transport")?;
        transport.close(cx, CloseReason::Command);
        let id = transport.id;
        for consumer in std::mem::take(&mut transport.consumers) {
            self.drop_consumer(cx, consumer);
        }
        let producers = self
            .transports
            .get_mut(key)
            .map(|transport| std::mem::take(&mut transport.producers))
            .unwrap_or_default();
        for producer in producers {
            self.drop_producer(cx, producer);
        }
        self.transports.remove(key);
        cx.shared.transports.remove(&id);
        Ok(())
    }

    pub(crate) fn add_producer(
        &mut self,
        cx: &mut Cx,
        transport: Key,
        id: ProducerId,
        parameters: ProducerParameters,
    ) -> CommandResult {
        check_producer(&parameters)?;
        let owner = self.transports.get_mut(transport).ok_or("no such transport")?;
        if owner.producers.len() >= cx.shared.config.max_producers_per_transport {
            return Err("the transport has too many producers");
        }
        check_streams(owner, &parameters, None)?;
        let interval = cx.shared.config.keyframe_interval;
        let key = self.producers.insert(Producer::new(id, transport, parameters, interval));
        owner.producers.push(key);
        self.list_streams(key);
        cx.shared.producers.insert(id, self.location(key));
        self.schedule_layers(cx);
        Ok(())
    }

    pub(crate) fn update_producer(
        &mut self,
        cx: &mut Cx,
        key: Key,
        parameters: ProducerParameters,
    ) -> CommandResult {
        check_producer(&parameters)?;
        let producer = self.producers.get_mut(key).ok_or("no such producer")?;
        if producer.kind != parameters.kind {
            return Err("a producer cannot change its kind");
        }
        let owner = self.transports.get(producer.transport).ok_or("no such transport")?;
        check_streams(owner, &parameters, Some(key))?;
        let lost_before = producer.lost();
        let ssrcs = |producer: &Producer| -> Vec<Option<u32>> {
            producer.encodings.iter().map(|encoding| encoding.ssrc).collect()
        };
        let ssrcs_before = ssrcs(producer);
        producer.update(parameters);
        let kind = producer.kind as usize;
        cx.shared.lost_before[kind] += lost_before.saturating_sub(producer.lost());
        let has_other_streams = ssrcs(producer) != ssrcs_before;
        self.list_streams(key);
        self.refresh_consumers(cx, key, has_other_streams);
        Ok(())
    }

    /// The producer's payload types or SSRCs are others now.
    fn refresh_consumers(&mut self, cx: &mut Cx, key: Key, has_other_streams: bool) {
        let Some(producer) = self.producers.get(key) else { return };
        for consumer in &producer.consumers {
            if let Some(consumer) = self.consumers.get_mut(*consumer) {
                consumer.map_payload_types(producer);
                if has_other_streams {
                    consumer.interrupt(Interruption::Switch);
                }
            }
        }
        if has_other_streams && producer.kind == MediaKind::Video {
            self.allocate_subscribers(cx, key, LayerSwitchReason::Encoding);
            self.request_keyframes(cx, key);
        }
    }

    /// Enters the producer's known SSRCs into the table of its transport.
    pub(super) fn list_streams(&mut self, key: Key) {
        let Some(producer) = self.producers.get(key) else { return };
        let Some(transport) = self.transports.get_mut(producer.transport) else { return };
        let mut streams = Vec::with_capacity(2 * producer.encodings.len());
        for (index, encoding) in producer.encodings.iter().enumerate() {
            for (ssrc, is_rtx) in [(encoding.ssrc, false), (encoding.rtx_ssrc, true)] {
                let stream = |ssrc| Stream { ssrc, producer: key, encoding: index, is_rtx };
                streams.extend(ssrc.map(stream));
            }
        }
        transport.set_streams(key, &streams);
    }

    pub(crate) fn remove_producer(&mut self, cx: &mut Cx, key: Key) -> CommandResult {
        let producer = self.producers.get(key).ok_or("no such producer")?;
        if let Some(transport) = self.transports.get_mut(producer.transport) {
            transport.producers.retain(|other| *other != key);
            transport.set_streams(key, &[]);
        }
        self.drop_producer(cx, key);
        Ok(())
    }

    fn drop_producer(&mut self, cx: &mut Cx, key: Key) {
        self.end_capture(cx, key);
        let Some(producer) = self.producers.remove(key) else { return };
        cx.shared.producers.remove(&producer.id);
        cx.shared.lost_before[producer.kind as usize] += producer.lost();
        self.speaker.remove(producer.id);
        self.schedule_levels(cx);
        for consumer in producer.consumers {
            if let Some(consumer) = self.consumers.get_mut(consumer) {
                consumer.producer = None;
                consumer.interrupt(Interruption::Switch);
            }
        }
    }

    pub(crate) fn pause_producer(&mut self, cx: &mut Cx, key: Key, paused: bool) -> CommandResult {
        let producer = self.producers.get_mut(key).ok_or("no such producer")?;
        if producer.paused == paused {
            return Ok(());
        }
        producer.paused = paused;
        producer.started = false;
        producer.forget_frames();
        for consumer in &producer.consumers {
            if let Some(consumer) = self.consumers.get_mut(*consumer) {
                consumer.interrupt(Interruption::Pause);
            }
        }
        let is_video = producer.kind == MediaKind::Video;
        producer.mark_pause(cx);
        if paused {
            producer.cancel_keyframes();
            self.speaker.remove(producer.id);
            self.schedule_levels(cx);
        } else if is_video {
            self.request_keyframes(cx, key);
        }
        self.allocate_subscribers(cx, key, LayerSwitchReason::Encoding);
        Ok(())
    }

    pub(crate) fn keyframe_command(&mut self, cx: &mut Cx, key: Key) -> CommandResult {
        let producer = self.producers.get(key).ok_or("no such producer")?;
        if producer.kind == MediaKind::Video {
            let best = producer.best();
            self.request_keyframe(cx, key, best);
            self.request_keyframes(cx, key);
        }
        Ok(())
    }

    pub(crate) fn add_consumer(
        &mut self,
        cx: &mut Cx,
        transport: Key,
        producer: Key,
        id: ConsumerId,
        parameters: ConsumerParameters,
    ) -> CommandResult {
        check_consumer(&parameters)?;
        let owner = self.transports.get_mut(transport).ok_or("no such transport")?;
        if owner.consumers.len() >= cx.shared.config.max_consumers_per_transport {
            return Err("the transport has too many consumers");
        }
        let is_taken =
            owner.consumers.iter().filter_map(|key| self.consumers.get(*key)).any(|other| {
                let other = &other.parameters;
                let ours = [Some(parameters.ssrc), parameters.rtx_ssrc];
                ours.iter()
                    .flatten()
                    .any(|ssrc| other.ssrc == *ssrc || other.rtx_ssrc == Some(*ssrc))
            });
        if is_taken {
            return Err("the ssrc is in use");
        }
        let kind = self.producers.get(producer).ok_or("no such producer")?.kind;
        let first = (cx.shared.random.first_sequence(), cx.shared.random.first_sequence());
        let consumer = Consumer::new(id, transport, kind, parameters, first);
        let key = self.consumers.insert(consumer);
        owner.consumers.push(key);
        cx.shared.consumers.insert(id, self.location(key));
        self.attach(cx, key, producer);
        Ok(())
    }

    fn attach(&mut self, cx: &mut Cx, key: Key, source: Key) {
        let Some(producer) = self.producers.get_mut(source) else { return };
        let Some(consumer) = self.consumers.get_mut(key) else { return };
        producer.consumers.push(key);
        producer.keeps_packets |= consumer.has_rtx();
        consumer.attach(source, producer);
        producer.keeps_frames |= consumer.repairs_voice();
        let transport = consumer.transport;
        if consumer.kind == MediaKind::Audio {
            consumer.layers.target = Some(Layer { spatial: 0, temporal: 0 });
        }
        self.allocate_because(cx, transport, LayerSwitchReason::Wish);
        self.ask_for_start(cx, key);
    }

    /// A subscription that can be sent to begins with a keyframe.
    fn ask_for_start(&mut self, cx: &mut Cx, key: Key) {
        let Some(consumer) = self.consumers.get(key) else { return };
        // Before the subscriber is connected it could not be sent to; then it is asked for.
        let can_send = self.transports.get(consumer.transport).is_some_and(|t| t.srtp.is_some());
        if consumer.kind == MediaKind::Video
            && !consumer.paused
            && can_send
            && let Some((producer, encoding)) = consumer.producer.zip(consumer.keyframe_encoding())
        {
            self.request_keyframe(cx, producer, encoding);
        }
    }

    fn detach(&mut self, key: Key) {
        let source = self.consumers.get_mut(key).and_then(|consumer| consumer.producer.take());
        if let Some(producer) = source.and_then(|source| self.producers.get_mut(source)) {
            producer.consumers.retain(|other| *other != key);
            if producer.consumers.is_empty() {
                producer.cancel_keyframes();
            }
        }
    }

    pub(crate) fn update_consumer(
        &mut self,
        key: Key,
        parameters: ConsumerParameters,
    ) -> CommandResult {
        check_consumer(&parameters)?;
        let consumer = self.consumers.get_mut(key).ok_or("no such consumer")?;
        if consumer.parameters.ssrc != parameters.ssrc {
            return Err("a consumer cannot change its ssrc");
        }
        consumer.update(parameters);
        if let Some(producer) = consumer.producer.and_then(|key| self.producers.get_mut(key)) {
            producer.keeps_packets |= consumer.has_rtx();
            consumer.map_payload_types(producer);
            producer.keeps_frames |= consumer.repairs_voice();
        }
        Ok(())
    }

    pub(crate) fn set_consumer_source(
        &mut self,
        cx: &mut Cx,
        key: Key,
        source: Key,
    ) -> CommandResult {
        let kind = self.producers.get(source).ok_or("no such producer")?.kind;
        let consumer = self.consumers.get(key).ok_or("no such consumer")?;
        if consumer.kind != kind {
            return Err("the producer is of another kind");
        }
        if consumer.producer != Some(source) {
            self.detach(key);
            self.attach(cx, key, source);
        }
        Ok(())
    }

    pub(crate) fn pause_consumer(&mut self, cx: &mut Cx, key: Key, paused: bool) -> CommandResult {
        let consumer = self.consumers.get_mut(key).ok_or("no such consumer")?;
        if consumer.paused == paused {
            return Ok(());
        }
        consumer.paused = paused;
        consumer.interrupt(Interruption::Pause);
        let transport = consumer.transport;
        let source = consumer.producer;
        self.allocate_because(cx, transport, LayerSwitchReason::Wish);
        if let Some(source) = source {
            self.update_demand(cx, source);
        }
        self.ask_for_start(cx, key);
        Ok(())
    }

    pub(crate) fn remove_consumer(&mut self, cx: &mut Cx, key: Key) -> CommandResult {
        let consumer = self.consumers.get(key).ok_or("no such consumer")?;
        if let Some(transport) = self.transports.get_mut(consumer.transport) {
            transport.consumers.retain(|other| *other != key);
            let ConsumerParameters { ssrc, rtx_ssrc, .. } = consumer.parameters;
            transport.end_sent([ssrc].into_iter().chain(rtx_ssrc));
        }
        let transport = consumer.transport;
        self.drop_consumer(cx, key);
        self.allocate_because(cx, transport, LayerSwitchReason::Budget);
        Ok(())
    }

    fn drop_consumer(&mut self, cx: &mut Cx, key: Key) {
        self.detach(key);
        if let Some(consumer) = self.consumers.remove(key) {
            cx.shared.consumers.remove(&consumer.id);
        }
    }

    /// The transport can send now: its subscriptions have waited for a keyframe.
    pub(super) fn on_connected(&mut self, cx: &mut Cx, transport: Key) {
        self.allocate_because(cx, transport, LayerSwitchReason::Wish);
        let Some(transport) = self.transports.get(transport) else { return };
        for consumer in transport.consumers.clone() {
            self.ask_for_start(cx, consumer);
        }
    }

    /// The remote side of a transport is heard again after a silence: what it sends begins with
    /// pictures nobody can decode, and so does what it gets.
    pub(super) fn on_return(&mut self, cx: &mut Cx, transport: Key) {
        let Some(transport) = self.transports.get(transport) else { return };
        let (sent, received) = (transport.producers.clone(), transport.consumers.clone());
        for key in sent {
            if self.producers.get(key).is_some_and(|producer| producer.kind == MediaKind::Video) {
                self.request_keyframes(cx, key);
            }
        }
        for key in received {
            self.ask_for_start(cx, key);
        }
    }
}

fn check_producer(parameters: &ProducerParameters) -> CommandResult {
    check_parameters(parameters)?;
    if parameters.mid.len() > MAX_MID {
        return Err("the mid is too long");
    }
    Ok(())
}

/// The SSRCs must be free, and the table must not overflow.
fn check_streams(
    transport: &Transport,
    parameters: &ProducerParameters,
    own: Option<Key>,
) -> CommandResult {
    let others = || transport.streams.iter().filter(|stream| Some(stream.producer) != own);
    let mut wanted: Vec<u32> = parameters
        .encodings
        .iter()
        .flat_map(|encoding| [encoding.ssrc, encoding.rtx_ssrc])
        .flatten()
        .collect();
    if others().count() + 2 * parameters.encodings.len() > MAX_STREAMS {
        return Err("the transport receives too many ssrcs");
    }
    let count = wanted.len();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.len() != count || others().any(|stream| wanted.contains(&stream.ssrc)) {
        return Err("the ssrc is in use");
    }
    Ok(())
}

fn check_consumer(parameters: &ConsumerParameters) -> CommandResult {
    check_codecs(&parameters.codecs)?;
    if parameters.mid.len() > MAX_MID {
        return Err("the mid is too long");
    }
    if parameters.cname.len() > MAX_CNAME {
        return Err("the cname is too long");
    }
    if parameters.rtx_ssrc == Some(parameters.ssrc) {
        return Err("media and rtx need different ssrcs");
    }
    Ok(())
}

/// Which transport, producer or consumer a command is about; with the name for reports.
pub(crate) fn subject(command: &Command) -> (&'static str, u64) {
    let transport = |name, id: &TransportId| (name, *id);
    match command {
        Command::CreateRoom { room } => ("create_room", *room),
        Command::CloseRoom { room } => ("close_room", *room),
        Command::InjectPanic { room } => ("inject_panic", *room),
        Command::CreateTransport { transport: id, .. } => transport("create_transport", id),
        Command::RestartIce { transport: id, .. } => transport("restart_ice", id),
        Command::SetExtensions { transport: id, .. } => transport("set_extensions", id),
        Command::CloseTransport { transport: id } => transport("close_transport", id),
        Command::AddProducer { producer, .. } => ("add_producer", *producer),
        Command::UpdateProducer { producer, .. } => ("update_producer", *producer),
        Command::RemoveProducer { producer } => ("remove_producer", *producer),
        Command::SetProducerPaused { producer, .. } => ("set_producer_paused", *producer),
        Command::RequestKeyframe { producer } => ("request_keyframe", *producer),
        Command::SetCapture { producer, .. } => ("set_capture", *producer),
        Command::PauseCapture { producer, .. } => ("pause_capture", *producer),
        Command::SetTap { producer, .. } => ("set_tap", *producer),
        Command::CloseCapture { capture } => ("close_capture", *capture),
        Command::AddConsumer { consumer, .. } => ("add_consumer", *consumer),
        Command::UpdateConsumer { consumer, .. } => ("update_consumer", *consumer),
        Command::SetConsumerSource { consumer, .. } => ("set_consumer_source", *consumer),
        Command::SetConsumerPaused { consumer, .. } => ("set_consumer_paused", *consumer),
        Command::SetConsumerLayers { consumer, .. } => ("set_consumer_layers", *consumer),
        Command::RemoveConsumer { consumer } => ("remove_consumer", *consumer),
    }
}
