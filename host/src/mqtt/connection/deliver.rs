//! Sends what waits for the client: first what the connection before left unacknowledged, then its mailbox.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, End, OUT_HIGH, said};
use crate::message::QoS;
use crate::mqtt::broker::Now;
use crate::mqtt::codec::{AckKind, OutgoingPublish};
use crate::mqtt::events::dropped;
use crate::mqtt::mailbox::Kick;
use crate::mqtt::packet::{PacketId, Reason};
use crate::mqtt::queue::Delivery;
use crate::mqtt::retained::expires_at;
use crate::mqtt::session::Session;
use crate::mqtt::traffic::Kind;
use crate::mqtt::window::Resend;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Fills `out` as far as the client's window allows; `false` when there was nothing to send.
    pub(super) fn deliver(&mut self, out: &mut BytesMut) -> Result<bool, End> {
        if out.len() >= OUT_HIGH || !(self.resending || self.cell.mailbox.has_waiting()) {
            return Ok(false);
        }
        let cell = self.cell.clone();
        let Some(mut session) = cell.lock(&self.link) else { return Err(End::Kicked(Kick::TakenOver)) };
        let now = Now::read();
        let mut sent = 0;
        if self.resending {
            self.resend(&mut session, now, out, &mut sent)?;
        }
        while out.len() < OUT_HIGH && session.window.has_room() {
            let Some(delivery) = cell.mailbox.pop() else { break };
            if expires_at(&delivery.message).is_some_and(|at| at <= now.unix_millis) {
                self.broker.metrics.delivery_dropped_expired.add(1);
                self.link.traffic.expired.add(1);
                self.broker.events.delivery_dropped(&self.client, &delivery, dropped::EXPIRED);
                continue;
            }
            let id = match delivery.qos {
                QoS::AtMostOnce => None,
                _ => session.window.admit(delivery.clone()),
            };
            if self.publish(&delivery, id, false, now, out) {
                sent += 1;
            } else if let Some(id) = id {
                session.window.withdraw(id);
            }
        }
        cell.mailbox.note_in_flight(session.window.len());
        self.broker.metrics.messages_sent.add(sent);
        Ok(sent > 0)
    }

    fn resend(&mut self, session: &mut Session, now: Now, out: &mut BytesMut, sent: &mut u64) -> Result<(), End> {
        while out.len() < OUT_HIGH {
            match session.window.next_resend() {
                Some(Resend::Publish(id, delivery)) => {
                    if self.publish(&delivery, Some(id), true, now, out) {
                        *sent += 1;
                    } else {
                        session.window.withdraw(id);
                    }
                }
                Some(Resend::PubRel(id)) => {
                    said(self.encoder.ack(out, AckKind::PubRel, id, Reason::Success))?;
                    self.link.traffic.sent.count(Kind::PubRel);
                }
                None => {
                    self.resending = session.window.has_unsent();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Appends one PUBLISH; `false` when it is larger than the client takes, which is counted.
    fn publish(&mut self, delivery: &Delivery, id: Option<PacketId>, dup: bool, now: Now, out: &mut BytesMut) -> bool {
        let message = &*delivery.message;
        // Counted down by the time that it waited here (MQTT-3.3.2-6).
        let left = expires_at(message).map(|at| (at.saturating_sub(now.unix_millis).max(0) as u64).div_ceil(1000));
        let alias = self.aliases.choose(&message.topic);
        let publish = OutgoingPublish {
            dup,
            retain: delivery.retain,
            qos: delivery.qos,
            id,
            topic: if alias.is_known() { "" } else { message.topic.as_str() },
            topic_alias: alias.number(),
            properties: message.properties.as_deref(),
            message_expiry_interval: left.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
            subscription_ids: delivery.subscription_ids.as_slice(),
            payload: &message.payload,
        };
        let fits = self.encoder.publish(out, &publish);
        if fits {
            self.aliases.said(alias, &message.topic);
            self.link.traffic.sent.publish(delivery.qos);
            self.broker.events.delivered(&self.client, delivery);
        } else {
            self.broker.metrics.delivery_dropped_too_large.add(1);
            self.link.traffic.too_large.add(1);
            self.broker.events.delivery_dropped(&self.client, delivery, dropped::TOO_LARGE);
        }
        fits
    }
}
