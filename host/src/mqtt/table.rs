//! The tables of clients and subscriptions, for whoever manages this node: rows are put together when they are asked for,
//! from what sessions and connections keep anyway.

use super::broker::Broker;
use super::mailbox::Kick;
use super::packet::RetainHandling;
use super::router::SubscriptionOptions;
use super::sessions::View;
use crate::control::sessions::{ClientInfo, SessionTable, SubscriptionInfo};
use crate::message::ClientId;

impl Broker {
    fn row(&self, view: &View<'_>) -> ClientInfo {
        let (config, client) = (&self.config, &view.about.client);
        let (mqueue_len, mqueue_dropped) = view.mailbox.depth();
        ClientInfo {
            clientid: client.id.clone(),
            username: client.username.clone(),
            connected: view.connected,
            peer: client.peer,
            local: view.about.local,
            version: client.version,
            keepalive: view.about.keep_alive,
            clean_start: view.about.clean_start,
            expiry_interval: view.session.expiry.as_secs(),
            created_at: view.created_at,
            connected_at: view.about.connected_at.unwrap_or(view.created_at),
            disconnected_at: view.disconnected_at,
            subscriptions_cnt: view.session.subscriptions.len(),
            subscriptions_max: config.max_subscriptions,
            inflight_cnt: view.session.window.len(),
            inflight_max: view.about.receive_maximum.into(),
            mqueue_len,
            mqueue_max: config.max_mqueue_len,
            mqueue_dropped,
            awaiting_rel_cnt: view.session.awaiting_release(),
            awaiting_rel_max: config.max_inflight.into(),
            traffic: view.traffic.info(),
        }
    }
}

fn subscriptions<'v>(view: &'v View<'_>) -> impl Iterator<Item = SubscriptionInfo> + 'v {
    let clientid = &view.about.client.id;
    view.session.subscriptions.iter().map(|(topic, options)| subscription(clientid, topic, options))
}

fn subscription(clientid: &ClientId, topic: &str, options: &SubscriptionOptions) -> SubscriptionInfo {
    SubscriptionInfo {
        clientid: clientid.clone(),
        topic: topic.to_owned(),
        qos: options.qos,
        nl: options.no_local,
        rap: options.retain_as_published,
        rh: match options.retain_handling {
            RetainHandling::Send => 0,
            RetainHandling::SendIfNew => 1,
            RetainHandling::DoNotSend => 2,
        },
        subid: options.subscription_id,
    }
}

impl SessionTable for Broker {
    fn each_client(&self, see: &mut dyn FnMut(ClientInfo)) {
        self.sessions.for_each(|view| see(self.row(&view)));
    }

    fn client(&self, id: &str) -> Option<ClientInfo> {
        self.sessions.show(&ClientId::new(id), |view| self.row(&view))
    }

    fn subscriptions(&self, id: &str) -> Option<Vec<SubscriptionInfo>> {
        self.sessions.show(&ClientId::new(id), |view| subscriptions(&view).collect())
    }

    fn each_subscription(&self, see: &mut dyn FnMut(SubscriptionInfo)) {
        self.sessions.for_each(|view| subscriptions(&view).for_each(&mut *see));
    }

    fn kick(&self, id: &str) -> bool {
        self.sessions.kick(&ClientId::new(id), Kick::Administrative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::QoS;
    use crate::mqtt::testing::{Server, publish, subscribe, until};

    #[tokio::test]
    async fn a_row_tells_what_a_client_is_and_did() {
        let server = Server::with(|config| config.max_mqueue_len = 2, "");
        let broker = &*server.broker;
        assert_eq!(broker.client("c"), None);
        let mut client = server.connect(5, "c", false).await;
        client.send(&subscribe(&[2, 11, 9], &[("a/#", 0x1d), ("$share/g/b", 1)])).await;
        client.expect(&[0x90, 5, 0, 1, 0, 1, 1]).await;
        client.send(&publish(0x04, "x", 7, &[0], b"x")).await;
        server.taken(1).await.remove(0).ack.settle(crate::ack::Outcome::Delivered);
        client.expect(&[0x50, 2, 0, 7]).await;
        let mut other = server.connect(4, "other", true).await;
        other.send(&publish(0x02, "a/1", 1, &[], b"x")).await;
        assert_eq!(client.packet().await[0], 0x32);

        let row = broker.client("c").unwrap();
        assert!(row.connected && !row.clean_start && row.created_at > 0 && row.connected_at == row.created_at);
        assert_eq!((row.peer.to_string().as_str(), row.local.port()), ("127.0.0.1:4711", 1883));
        assert_eq!((row.keepalive, row.expiry_interval, row.disconnected_at), (0, 100, None));
        assert_eq!((row.subscriptions_cnt, row.inflight_cnt, row.awaiting_rel_cnt), (2, 1, 1));
        let traffic = row.traffic;
        assert_eq!((traffic.recv_pkt, traffic.recv_msg_qos), (2, [0, 0, 1]));
        assert_eq!((traffic.send_pkt, traffic.send_msg_qos), (3, [0, 1, 0]));
        assert!(traffic.recv_oct > 30 && traffic.recv_cnt >= 2 && traffic.send_cnt >= 3);

        let subscriptions = broker.subscriptions("c").unwrap();
        let shape: Vec<_> =
            subscriptions.iter().map(|of| (of.topic.as_str(), of.qos as u8, of.nl, of.rap, of.rh)).collect();
        assert_eq!(shape, [("$share/g/b", 1, false, false, 0), ("a/#", 1, true, true, 1)]);
        assert!(subscriptions.iter().all(|of| of.subid == Some(9)));
        assert_eq!(broker.subscriptions("nobody"), None);

        // Away: messages wait, and the third finds no room.
        drop(client);
        until(|| broker.client("c").is_some_and(|row| !row.connected)).await;
        for id in 2..5 {
            other.send(&publish(0x02, "a/1", id, &[], b"x")).await;
        }
        other.expect_silence().await;
        let row = broker.client("c").unwrap();
        assert_eq!((row.mqueue_len, row.mqueue_max, row.mqueue_dropped), (2, 2, 1));
        assert!(row.disconnected_at >= Some(row.connected_at) && row.traffic == traffic);

        let mut names = Vec::new();
        broker.each_client(&mut |row| names.push((row.clientid.to_string(), row.traffic.recv_msg_qos)));
        names.sort();
        assert_eq!(names, [("c".to_owned(), [0, 0, 1]), ("other".to_owned(), [0, 4, 0])]);
        let mut all = Vec::new();
        broker.each_subscription(&mut |of| all.push(of.qos));
        assert_eq!(all, [QoS::AtLeastOnce; 2]);
        assert!(broker.kick("other") && !broker.kick("c") && !broker.kick("nobody"));
        other.expect(&[]).await;
    }
}
