//! SUBSCRIBE and UNSUBSCRIBE: one answer for each filter, whatever becomes of the others.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::topics::fits_limits;
use super::{Connection, End, said};
use crate::event::{EventKind, PacketProperties};
use crate::message::{ProtocolVersion, QoS};
use crate::mqtt::acl::{Decision, Question};
use crate::mqtt::broker::Now;
use crate::mqtt::config::DenyAction;
use crate::mqtt::packet::{FilterRequest, Reason, RetainHandling, Subscribe, Unsubscribe};
use crate::mqtt::router::{Subscribed, SubscriptionOptions, retained_delivery};
use crate::mqtt::session::Session;
use crate::mqtt::shared;
use crate::mqtt::sys::is_sys_filter;
use crate::mqtt::traffic::Kind;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn subscribe(
        &mut self,
        session: &mut Session,
        subscribe: Subscribe,
        given: Option<Arc<PacketProperties>>,
        now: Now,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        // No Local makes no sense for a group, and the standard makes it an error (MQTT-3.8.3-4).
        if subscribe.filters.iter().any(|request| request.no_local && request.filter.starts_with("$share/")) {
            return Err(End::Close(Reason::ProtocolError));
        }
        let mut reasons = Vec::with_capacity(subscribe.filters.len());
        let disconnect = self.broker.authorizer.load().deny_action == DenyAction::Disconnect;
        for request in subscribe.filters {
            let asked: Option<Arc<str>> =
                self.broker.events.wants(EventKind::SessionSubscribed).then(|| request.filter.as_str().into());
            let granted = self.subscribe_one(session, request, subscribe.subscription_id, now);
            if let (Ok(qos), Some(asked)) = (granted, asked) {
                self.broker.events.subscribed(&self.client, &asked, qos, &given);
            }
            if disconnect && granted == Err(Reason::NotAuthorized) {
                return Err(End::Close(Reason::NotAuthorized));
            }
            reasons.push(granted);
        }
        said(self.encoder.suback(out, subscribe.id, &reasons))?;
        self.link.traffic.sent.count(Kind::Subscribe);
        Ok(())
    }

    /// What somebody has to be asked about before this SUBSCRIBE can be answered.
    pub(super) fn open_questions(&self, subscribe: &Subscribe) -> Vec<Question> {
        if self.asking.is_none() {
            return Vec::new();
        }
        let questions = subscribe.filters.iter().filter_map(|request| {
            let subscribed = Subscribed::parse(&request.filter)?;
            let filter = subscribed.filter.as_str();
            let question = subscription(filter, request.qos);
            let open =
                self.rules.may_subscribe(filter, request.qos) == Decision::Ask && self.answer(&question).is_none();
            open.then_some(question)
        });
        questions.collect()
    }

    fn subscribe_one(
        &mut self,
        session: &mut Session,
        request: FilterRequest,
        subscription_id: Option<u32>,
        now: Now,
    ) -> Result<QoS, Reason> {
        let (config, metrics) = (&self.broker.config, &self.broker.metrics);
        let subscribed = Subscribed::parse(&request.filter).ok_or(Reason::TopicFilterInvalid)?;
        let filter = &subscribed.filter;
        if !fits_limits(filter.as_str(), config) {
            return Err(Reason::TopicFilterInvalid);
        }
        if subscribed.share.is_some() && !config.shared_subscription {
            return Err(Reason::SharedSubscriptionsNotSupported);
        }
        if filter.has_wildcard() && !config.wildcard_subscription {
            return Err(Reason::WildcardSubscriptionsNotSupported);
        }
        let allowed = self.may_subscribe(filter.as_str(), request.qos);
        if self.broker.events.wants(EventKind::CheckAuthzComplete) {
            let source = self.rules.subscribe_source(filter.as_str(), request.qos);
            self.broker.events.authorized(&self.client, "subscribe", filter.as_str(), source, allowed);
        }
        if !allowed {
            metrics.unauthorized.add(1);
            return Err(Reason::NotAuthorized);
        }
        let known = session.subscriptions.contains_key(&request.filter);
        if !known && session.subscriptions.len() >= config.max_subscriptions {
            return Err(Reason::QuotaExceeded);
        }
        let options = SubscriptionOptions {
            qos: request.qos.min(config.max_qos_allowed),
            no_local: request.no_local || (config.ignore_loop_deliver && self.client.version == ProtocolVersion::V4),
            retain_as_published: request.retain_as_published,
            retain_handling: request.retain_handling,
            subscription_id,
        };
        self.broker.router.subscribe(&subscribed, &self.cell.mailbox, options);
        self.broker.sys.subscribed(&self.broker, &self.client, &request.filter, &options, now);
        session.subscriptions.insert(request.filter, options);
        if !known {
            metrics.subscriptions_current.add(1);
            metrics.subscriptions_shared.add(u64::from(subscribed.share.is_some()));
        }
        let wanted = match options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => !known,
            RetainHandling::DoNotSend => false,
        };
        // A group gets no retained messages (MQTT 5.0, 4.8.2).
        if wanted && subscribed.share.is_none() {
            let retained = self.broker.retained.matching(filter, now.unix_millis);
            let deliveries = retained.into_iter().map(|message| retained_delivery(message, &options));
            self.cell.mailbox.deliver_retained(deliveries, metrics);
        }
        Ok(options.qos)
    }

    /// The broker's own topics tell of other clients: where no rule says anything, they are for this machine only.
    fn may_subscribe(&self, filter: &str, qos: QoS) -> bool {
        let open = !is_sys_filter(filter) || self.client.peer.ip().to_canonical().is_loopback();
        match self.rules.may_subscribe(filter, qos) {
            Decision::Allow => open || self.rules.subscribe_source(filter, qos) != "default",
            Decision::Deny => false,
            // Asked before; without an answer nothing is allowed.
            Decision::Ask => self.answer(&subscription(filter, qos)) == Some(true),
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        session: &mut Session,
        unsubscribe: Unsubscribe,
        given: Option<Arc<PacketProperties>>,
        now: Now,
        out: &mut BytesMut,
    ) -> Result<(), End> {
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in unsubscribe.filters {
            let Some(subscribed) = Subscribed::parse(&filter) else {
                reasons.push(Reason::TopicFilterInvalid);
                continue;
            };
            let Some(options) = session.subscriptions.remove(&filter) else {
                reasons.push(Reason::NoSubscriptionExisted);
                continue;
            };
            self.broker.events.unsubscribed(&self.client, &filter, options.qos, &given);
            self.broker.sys.unsubscribed(&self.broker, &self.client, &filter, now);
            self.broker.metrics.subscriptions_current.sub(1);
            self.broker.metrics.subscriptions_shared.sub(u64::from(subscribed.share.is_some()));
            // What a group had given to this member is for the others now.
            if let Some(group) = self.broker.router.unsubscribe(&subscribed, &self.cell.mailbox) {
                let left = self.cell.mailbox.take_shared(|of| std::sync::Arc::ptr_eq(of, &group));
                shared::hand_on(left, &self.broker.metrics);
            }
            reasons.push(Reason::Success);
        }
        said(self.encoder.unsuback(out, unsubscribe.id, &reasons))?;
        self.link.traffic.sent.count(Kind::Unsubscribe);
        Ok(())
    }
}

fn subscription(filter: &str, qos: QoS) -> Question {
    Question { publish: false, topic: filter.to_owned(), qos, retain: false }
}
