//! Sessions without sockets: who has which, and what time does to them. The clock is the test's.

use super::*;
use crate::message::{ProtocolVersion, QoS};
use crate::mqtt::packet::RetainHandling;
use crate::mqtt::router::SubscriptionOptions;
use crate::mqtt::testing::{about, at, delivery};
use crate::pipeline::{Ingress, IngressLimits};
use crate::topic::TopicName;
use bytes::Bytes;

struct Fixture {
    sessions: Sessions,
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    now: Instant,
}

fn fixture(max_sessions: usize) -> Fixture {
    let (router, metrics) = (Arc::new(Router::default()), Arc::new(Metrics::default()));
    let queue = QueueLimits { messages: 10, bytes: 1000, retained: 10, store_qos0: true };
    let events = Events::new(Ingress::new(1, IngressLimits::default()));
    let sessions = Sessions::new(router.clone(), metrics.clone(), events, queue, max_sessions);
    Fixture { sessions, router, metrics, now: Instant::now() }
}

impl Fixture {
    fn attach(&self, id: &str, clean_start: bool, expiry: u32, will: Option<u64>) -> (Attached, Arc<Link>) {
        let link = Arc::new(Link::default());
        let about = about(id);
        let agreement = Agreement {
            version: ProtocolVersion::V5,
            expiry: Expiry::from_secs(expiry),
            receive_maximum: 10,
            send_maximum: 10,
        };
        let will = will.map(|delay| {
            Box::new(Will {
                topic: TopicName::new("will").unwrap(),
                payload: Bytes::new(),
                qos: QoS::AtMostOnce,
                retain: false,
                delay: Duration::from_secs(delay),
                properties: None,
            })
        });
        let attached =
            self.sessions.attach(Attach { about: &about, clean_start, agreement, will, link: &link }).unwrap();
        (attached, link)
    }

    fn detach(&self, (attached, link): &(Attached, Arc<Link>), farewell: Farewell) -> bool {
        self.sessions.detach(&attached.cell, link, farewell, at(self.now)).is_some()
    }

    /// Wills that are published when `seconds` have passed.
    fn after(&self, seconds: u64) -> usize {
        let mut wills = 0;
        self.sessions.run_due(self.now + Duration::from_secs(seconds), |_| wills += 1);
        wills
    }
}

#[test]
fn a_session_lives_as_long_as_it_was_asked_to() {
    let fixture = fixture(9);
    for (id, expiry) in [("zero", 0), ("ten", 10), ("never", u32::MAX)] {
        let connection = fixture.attach(id, true, expiry, None);
        fixture.detach(&connection, Farewell::Normal);
    }
    assert_eq!(fixture.sessions.len(), 2);
    fixture.after(9);
    assert_eq!(fixture.sessions.len(), 2);
    fixture.after(10);
    assert_eq!(fixture.sessions.len(), 1);
    fixture.after(1_000_000);
    assert!(fixture.attach("never", false, 0, None).0.session_present);
    assert_eq!(fixture.sessions.deadlines.lock().next(), None);
}

#[test]
fn a_takeover_kicks_the_old_connection_which_then_changes_nothing() {
    let fixture = fixture(9);
    let old = fixture.attach("c", true, 10, None);
    let new = fixture.attach("c", false, 10, None);
    assert!(new.0.session_present);
    assert_eq!((old.1.kicked(), new.1.kicked()), (Some(Kick::TakenOver), None));
    assert!(old.0.cell.lock(&old.1).is_none() && new.0.cell.lock(&new.1).is_some());
    assert!(!fixture.detach(&old, Farewell::Abrupt));
    assert!(new.0.cell.lock(&new.1).is_some());
    let clean = fixture.attach("c", true, 10, None);
    assert!(!clean.0.session_present && fixture.sessions.len() == 1);
}

#[test]
fn a_will_is_due_at_once_after_its_delay_or_with_its_session() {
    let fixture = fixture(9);
    // (session expiry, will delay) -> at once, or after so many seconds.
    for (expiry, delay, due) in [(0, 0, 0), (0, 99, 0), (50, 0, 0), (50, 20, 20), (20, 50, 20), (u32::MAX, 50, 50)] {
        let connection = fixture.attach("c", true, expiry, Some(delay));
        let at_once = fixture.detach(&connection, Farewell::Abrupt);
        assert_eq!(at_once, due == 0, "{expiry} {delay}");
        if due > 0 {
            assert_eq!((fixture.after(due - 1), fixture.after(due)), (0, 1), "{expiry} {delay}");
        }
        assert_eq!(fixture.after(1000), 0);
    }
    let connection = fixture.attach("n", true, 0, Some(0));
    assert!(!fixture.detach(&connection, Farewell::Normal));
    // Back in time: no will. Back with a clean start: the session ended, so it is due.
    let connection = fixture.attach("d", true, 99, Some(50));
    assert!(!fixture.detach(&connection, Farewell::Abrupt));
    assert!(fixture.attach("d", false, 99, Some(50)).0.displaced_will.is_none());
    assert_eq!(fixture.after(60), 0);
    assert!(fixture.attach("d", true, 99, None).0.displaced_will.is_some());
}

#[test]
fn what_a_session_had_goes_when_it_goes() {
    let fixture = fixture(100_000);
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
        subscription_id: None,
    };
    for n in 0..5000 {
        let connection = fixture.attach(&format!("client {n}"), true, 10, None);
        let cell = &connection.0.cell;
        for filter in [format!("a/{n}/#"), format!("$share/g/{n}")] {
            fixture.router.subscribe(&Subscribed::parse(&filter).unwrap(), &cell.mailbox, options);
            cell.lock(&connection.1).unwrap().subscriptions.insert(filter, options);
            fixture.metrics.subscriptions_current.add(1);
        }
        fixture.detach(&connection, Farewell::Abrupt);
        assert!(cell.mailbox.deliver(delivery("t", 1), &fixture.metrics));
    }
    fixture.after(11);
    assert!(fixture.sessions.is_empty() && fixture.router.is_empty());
    assert_eq!(fixture.metrics.subscriptions_current.get(), 0);
    assert_eq!(fixture.metrics.delivery_dropped_session_ended.get(), 5000);
    assert!(fixture.sessions.table.lock().capacity() <= 1024);
    assert_eq!(fixture.sessions.deadlines.lock().next(), None);
}

#[test]
fn there_are_no_more_sessions_than_allowed() {
    let fixture = fixture(1);
    let _first = fixture.attach("a", true, 10, None);
    let link = Arc::new(Link::default());
    let other = about("b");
    let agreement =
        Agreement { version: ProtocolVersion::V5, expiry: Expiry::Never, receive_maximum: 1, send_maximum: 1 };
    let attach = Attach { about: &other, clean_start: true, agreement, will: None, link: &link };
    assert_eq!(fixture.sessions.attach(attach).err(), Some(TooManySessions));
    assert!(fixture.attach("a", false, 10, None).0.session_present);
    assert_eq!(fixture.sessions.len(), 1);
}
