//! Takes in what the client sends: decodes every whole frame of one read, then hands all its messages over at once.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use super::scratch::Scratch;
use super::{Connection, End, Goodbye, apply, asking, said};
use crate::ack::{AckGroup, AckHandle, Outcome};
use crate::event::{EventKind, PacketProperties};
use crate::message::{Client, Message, MessageId, ProtocolVersion, QoS};
use crate::mqtt::acks::{Owed, Promise};
use crate::mqtt::acl::{Permits, Question};
use crate::mqtt::broker::{Broker, Now};
use crate::mqtt::codec;
use crate::mqtt::config::DenyAction;
use crate::mqtt::events::{MAX_USER_PROPERTIES, dropped};
use crate::mqtt::mailbox::Kick;
use crate::mqtt::packet::{Packet, PacketId, Publish, Reason};
use crate::mqtt::router::is_reserved;
use crate::mqtt::session::{Admission, Session};
use crate::mqtt::traffic::Kind;
use crate::pipeline::Inbound;
use crate::topic::TopicName;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// One read's worth of packets; `false` when nothing came.
    pub(super) fn take_in(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        out: &mut BytesMut,
    ) -> Result<bool, End> {
        let fresh = !self.input.is_paused();
        let data = match self.input.poll_next(&mut self.stream, &mut scratch.read, cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(data)) if !data.is_empty() => data,
            Poll::Ready(_) => return Err(End::Lost),
        };
        let now = Now::read();
        self.patience.heard(now.instant);
        if fresh {
            self.broker.metrics.bytes_received.add(data.len() as u64);
            self.link.traffic.bytes_received.add(data.len() as u64);
            self.link.traffic.reads.add(1);
        }
        // What came before a mistake was right, and goes on its way.
        let taken = self.take_packets(&data, now, scratch, out);
        if fresh && let Some(throttle) = &mut self.throttle {
            throttle.count_bytes(data.len(), now.instant);
        }
        let handed = self.hand_over(scratch);
        taken?;
        handed?;
        Ok(true)
    }

    fn take_packets(&mut self, data: &Bytes, now: Now, scratch: &mut Scratch, out: &mut BytesMut) -> Result<(), End> {
        let cell = self.cell.clone();
        let Some(mut session) = cell.lock(&self.link) else { return Err(End::Kicked(Kick::TakenOver)) };
        if self.asking.as_mut().is_some_and(|asking| asking.shrink(now.instant)) {
            self.topics.forget();
        }
        if !self.broker.are_current(&self.rules) {
            self.refresh_rules();
        }
        let taken = self.take_each(&mut session, data, now, scratch, out);
        self.open_promises(&mut session, scratch);
        // Acknowledgements may have made room, which shared subscriptions look at.
        cell.mailbox.note_in_flight(session.window.len());
        taken
    }

    fn take_each(
        &mut self,
        session: &mut Session,
        data: &Bytes,
        now: Now,
        scratch: &mut Scratch,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        let mut at = 0;
        while at < data.len() {
            if !self.may_take() {
                self.input.give_back(data.slice(at..));
                return Ok(());
            }
            let decoded = self.decoder.decode(&data[at..]).map_err(|error| {
                tracing::debug!(client = %self.client.id, %error, "closing the connection");
                End::Close(error.reason())
            })?;
            let Some((packet, len)) = decoded else {
                self.input.give_back_partial(&data[at..]);
                return Ok(());
            };
            let (before, bytes) = (at, &data[at..at + len]);
            at += len;
            self.count(&packet);
            match packet {
                Packet::Publish(publish) => {
                    if let Some(question) = self.take_publish(session, publish, data, now, scratch)? {
                        self.ask(vec![question]);
                        self.input.give_back(data.slice(before..));
                        return Ok(());
                    }
                    if let Some(throttle) = &mut self.throttle {
                        throttle.count_message(now.instant);
                    }
                }
                Packet::PubAck(ack) => {
                    self.tell_acked(session, ack.id, QoS::AtLeastOnce, bytes);
                    apply(session.handle_puback(ack), &self.encoder, &self.link.traffic, out)?;
                }
                Packet::PubRec(ack) => {
                    self.tell_acked(session, ack.id, QoS::ExactlyOnce, bytes);
                    apply(session.handle_pubrec(ack), &self.encoder, &self.link.traffic, out)?;
                }
                Packet::PubRel(ack) => apply(session.handle_pubrel(ack), &self.encoder, &self.link.traffic, out)?,
                Packet::PubComp(ack) => apply(session.handle_pubcomp(ack), &self.encoder, &self.link.traffic, out)?,
                Packet::Subscribe(subscribe) => {
                    let open = self.open_questions(&subscribe);
                    if !open.is_empty() {
                        self.ask(open);
                        self.input.give_back(data.slice(before..));
                        return Ok(());
                    }
                    let given = self.given(EventKind::SessionSubscribed, bytes).map(Arc::from);
                    self.subscribe(session, subscribe, given, now, out)?;
                }
                Packet::Unsubscribe(unsubscribe) => {
                    let given = self.given(EventKind::SessionUnsubscribed, bytes).map(Arc::from);
                    self.unsubscribe(session, unsubscribe, given, now, out)?;
                }
                Packet::PingReq => {
                    self.broker.events.ping(&self.about);
                    said(self.encoder.pingresp(out))?;
                    self.link.traffic.sent.count(Kind::Ping);
                }
                Packet::Disconnect(disconnect) => {
                    let properties = self.given(EventKind::ClientDisconnected, bytes);
                    self.goodbye = Goodbye { code: codec::disconnect_code(bytes), properties };
                    apply(
                        session.handle_disconnect(disconnect.session_expiry_interval),
                        &self.encoder,
                        &self.link.traffic,
                        out,
                    )?;
                    return Err(End::Goodbye { normal: disconnect.normal });
                }
            }
            if self.asking.as_mut().is_some_and(|asking| asking.packet_taken()) {
                self.topics.forget();
            }
        }
        Ok(())
    }

    fn count(&self, packet: &Packet<'_>) {
        let received = &self.link.traffic.received;
        match packet {
            Packet::Publish(publish) => received.publish(publish.qos),
            Packet::PubAck(_) => received.count(Kind::PubAck),
            Packet::PubRec(_) => received.count(Kind::PubRec),
            Packet::PubRel(_) => received.count(Kind::PubRel),
            Packet::PubComp(_) => received.count(Kind::PubComp),
            Packet::Subscribe(_) => received.count(Kind::Subscribe),
            Packet::Unsubscribe(_) => received.count(Kind::Unsubscribe),
            Packet::PingReq => received.count(Kind::Ping),
            Packet::Disconnect(_) => {}
        }
    }

    /// The properties of this packet, if there is a rule to read them.
    fn given(&self, kind: EventKind, packet: &[u8]) -> Option<Box<PacketProperties>> {
        let wanted = self.client.version == ProtocolVersion::V5 && self.broker.events.wants(kind);
        wanted.then(|| codec::properties_of(packet, MAX_USER_PROPERTIES)).flatten()
    }

    /// The client has a message: PUBACK came, or PUBREC, after which it is the client's whatever follows.
    fn tell_acked(&self, session: &Session, id: PacketId, qos: QoS, packet: &[u8]) {
        if self.broker.events.wants(EventKind::MessageAcked)
            && let Some(delivery) = session.window.delivery(id).filter(|delivery| delivery.qos == qos)
        {
            self.broker.events.acked(&self.client, delivery, self.given(EventKind::MessageAcked, packet));
        }
    }

    /// Takes a PUBLISH, unless somebody has to be asked about it first: then nothing has happened.
    fn take_publish(
        &mut self,
        session: &mut Session,
        publish: Publish<'_>,
        data: &Bytes,
        now: Now,
        scratch: &mut Scratch,
    ) -> Result<Option<Question>, End> {
        let broker = &*self.broker;
        if publish.qos > broker.config.max_qos_allowed {
            return Err(End::Close(Reason::QoSNotSupported));
        }
        if publish.retain && !broker.config.retain_available {
            return Err(End::Close(Reason::RetainNotSupported));
        }
        let (rules, asking) = (&self.rules, &self.asking);
        let mut source = "cache";
        let topic = self
            .topics
            .resolve(publish.topic, publish.topic_alias, |name| {
                source = "";
                match is_reserved(name) {
                    true => Permits::NONE,
                    false => asking::permits(rules, asking, name.as_str()),
                }
            })
            .map_err(End::Close)?;
        if topic.permits.open.has(publish.qos, publish.retain) {
            let topic = topic.name.as_str().to_owned();
            return Ok(Some(Question { publish: true, topic, qos: publish.qos, retain: publish.retain }));
        }
        let allowed = topic.permits.allowed.has(publish.qos, publish.retain);
        if broker.events.wants(EventKind::CheckAuthzComplete) {
            let name = topic.name.as_str();
            if source.is_empty() {
                source = rules.publish_source(name, publish.qos, publish.retain);
            }
            broker.events.authorized(&self.client, "publish", name, source, allowed);
        }
        let owed = match (publish.qos, publish.id) {
            (QoS::AtLeastOnce, Some(id)) => Owed::PubAck(id),
            (QoS::ExactlyOnce, Some(id)) => Owed::PubRec(id),
            _ => Owed::Nothing,
        };
        if !allowed {
            broker.metrics.unauthorized.add(1);
            broker.metrics.unauthorized_publish.add(1);
            self.link.traffic.denied.add(1);
            if broker.authorizer.load().deny_action == DenyAction::Disconnect {
                return Err(End::Close(Reason::NotAuthorized));
            }
            return match owed {
                Owed::Nothing => Ok(None),
                // 3.1.1 cannot be told; an acknowledgement would be a lie (MQTT-3.3.5-2 of 3.1.1).
                _ if self.client.version == ProtocolVersion::V4 => Err(End::Close(Reason::NotAuthorized)),
                owed => {
                    self.acks.decide(owed, Reason::NotAuthorized);
                    Ok(None)
                }
            };
        }
        if let Some(id) = publish.id {
            match session.handle_publish(id, publish.qos, self.acks.owed()) {
                Admission::Take => {}
                Admission::Carry(promise) => {
                    self.acks.carry(owed, promise);
                    tell_dropped(broker, &self.client, publish, &topic.name, data, now, "packet_identifier_inuse");
                    return Ok(None);
                }
                Admission::Wait => {
                    tell_dropped(broker, &self.client, publish, &topic.name, data, now, "packet_identifier_inuse");
                    return Ok(None);
                }
                Admission::AcknowledgeAgain => {
                    self.acks.decide(owed, Reason::Success);
                    tell_dropped(broker, &self.client, publish, &topic.name, data, now, "packet_identifier_inuse");
                    return Ok(None);
                }
                Admission::Exceeded => {
                    if publish.qos == QoS::ExactlyOnce {
                        tell_dropped(broker, &self.client, publish, &topic.name, data, now, "receive_maximum_exceeded");
                    }
                    return Err(End::Close(Reason::ReceiveMaximumExceeded));
                }
            }
        }
        let message = message_of(&self.client, publish, topic.name.clone(), data, now);
        if message.retain {
            broker.retained.put(&message, &broker.metrics);
        }
        let mut subscribed = false;
        if !broker.router.is_empty() {
            let generation = broker.router.generation();
            if topic.unrouted_in != Some(generation) {
                let routed = broker.router.route(&message, &self.client.id, &broker.metrics);
                topic.unrouted_in = (!routed.matched).then_some(generation);
                subscribed = routed.matched;
                if routed.queued > 0 {
                    scratch.routed.push(scratch.batch.len() as u32);
                }
            }
        }
        if !subscribed {
            broker.events.dropped(&message, dropped::NO_SUBSCRIBERS);
        }
        if let Owed::PubRec(id) = owed {
            scratch.exactly_once.push((scratch.batch.len(), id));
        }
        self.acks.expect(owed, message.payload.len() + message.topic.as_str().len());
        scratch.batch.push(Inbound::new(message, AckHandle::detached()));
        Ok(None)
    }

    /// Opens the promises for one read's messages. Under the session's lock: a connection that takes the session over
    /// must find every promise that was made.
    fn open_promises(&mut self, session: &mut Session, scratch: &mut Scratch) {
        if scratch.batch.is_empty() {
            return;
        }
        let group = AckGroup::open(scratch.batch.len(), &self.cell.signal);
        for (slot, inbound) in scratch.batch.iter_mut().enumerate() {
            inbound.ack = group.handle(slot);
        }
        for (slot, id) in scratch.exactly_once.drain(..) {
            session.promised(id, Promise::new(&group, slot));
        }
        for index in scratch.routed.drain(..) {
            if let Some(inbound) = scratch.batch.get(index as usize) {
                inbound.ack.branch().settle(Outcome::Delivered);
            }
        }
        self.acks.open(group);
    }

    /// Gives one read's messages to the pipeline, all at once.
    fn hand_over(&mut self, scratch: &mut Scratch) -> Result<(), End> {
        if scratch.batch.is_empty() {
            return Ok(());
        }
        self.broker.metrics.messages_received.add(scratch.batch.len() as u64);
        match self.broker.ingress.try_submit(self.shard, &mut scratch.batch) {
            Ok(true) => Ok(()),
            Ok(false) => {
                let (ingress, shard) = (self.broker.ingress.clone(), self.shard);
                let mut batch = std::mem::take(&mut scratch.batch);
                self.submission = Some(Box::pin(async move { ingress.submit(shard, &mut batch).await }));
                Ok(())
            }
            Err(_) => Err(End::Close(Reason::ServerShuttingDown)),
        }
    }
}

/// A copy that is not let in.
fn tell_dropped(
    broker: &Broker,
    client: &Arc<Client>,
    publish: Publish<'_>,
    topic: &TopicName,
    data: &Bytes,
    now: Now,
    reason: &'static str,
) {
    if broker.events.wants(EventKind::MessageDropped) {
        broker.events.dropped(&message_of(client, publish, topic.clone(), data, now), reason);
    }
}

fn message_of(client: &Arc<Client>, publish: Publish<'_>, topic: TopicName, data: &Bytes, now: Now) -> Message {
    Message {
        id: MessageId::next(now.unix_millis),
        client: client.clone(),
        topic,
        payload: data.slice_ref(publish.payload),
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        properties: publish.properties,
        received_at: now.unix_millis,
    }
}
