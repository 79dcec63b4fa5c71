//! The table of sessions against a plain model, over random lives of three clients on a simulated clock.
//!
//! The model keeps for each client what the standard speaks of: is there a session, until when, which will waits for what.

use proptest::prelude::*;

use super::*;
use crate::message::{ProtocolVersion, QoS};
use crate::mqtt::packet::RetainHandling;
use crate::mqtt::router::SubscriptionOptions;
use crate::mqtt::testing::{about, at, delivery};
use crate::pipeline::{Ingress, IngressLimits};
use crate::topic::TopicName;

const CLIENTS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Connect {
        client: usize,
        clean: bool,
        expiry: u32,
        /// Delay of the will in seconds.
        will: Option<u64>,
    },
    Disconnect {
        client: usize,
        normal: bool,
    },
    Subscribe(usize),
    /// A message for whoever has subscribed.
    Publish,
    Wait(u64),
}

/// One session as the standard has it. Times are seconds since the start; `None` is never.
#[derive(Debug)]
struct Model {
    connected: bool,
    expiry: u32,
    will: Option<u64>,
    ends: Option<u64>,
    will_at: Option<u64>,
    subscribed: bool,
    waiting: usize,
}

struct Simulation {
    sessions: Sessions,
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    start: Instant,
    seconds: u64,
    connections: [Option<(Arc<SessionCell>, Arc<Link>)>; 3],
    model: [Option<Model>; 3],
    wills: usize,
    expected_wills: usize,
    expected_dropped: usize,
}

impl Simulation {
    fn new() -> Simulation {
        let (router, metrics) = (Arc::new(Router::default()), Arc::new(Metrics::default()));
        let queue = QueueLimits { messages: 1000, bytes: 100_000, retained: 10, store_qos0: true };
        let events = Events::new(Ingress::new(1, IngressLimits::default()));
        Simulation {
            sessions: Sessions::new(router.clone(), metrics.clone(), events, queue, 10),
            router,
            metrics,
            start: Instant::now(),
            seconds: 0,
            connections: [None, None, None],
            model: [None, None, None],
            wills: 0,
            expected_wills: 0,
            expected_dropped: 0,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.seconds)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connect { client, clean, expiry, will } => self.connect(client, clean, expiry, will),
            Step::Disconnect { client, normal } => self.disconnect(client, normal),
            Step::Subscribe(client) => self.subscribe(client),
            Step::Publish => self.publish(),
            Step::Wait(seconds) => self.wait(seconds),
        }
        self.check();
    }

    fn connect(&mut self, n: usize, clean_start: bool, expiry: u32, will: Option<u64>) {
        let link = Arc::new(Link::default());
        let agreement = Agreement {
            version: ProtocolVersion::V5,
            expiry: Expiry::from_secs(expiry),
            receive_maximum: 10,
            send_maximum: 10,
        };
        let made = will.map(|delay| {
            Box::new(Will {
                topic: TopicName::new("will").unwrap(),
                payload: bytes::Bytes::new(),
                qos: QoS::AtMostOnce,
                retain: false,
                delay: Duration::from_secs(delay),
                properties: None,
            })
        });
        let about = about(CLIENTS[n]);
        let attach = Attach { about: &about, clean_start, agreement, will: made, link: &link };
        let attached = self.sessions.attach(attach).unwrap();
        self.wills += usize::from(attached.displaced_will.is_some());
        if let Some((_, old)) = self.connections[n].replace((attached.cell, link)) {
            assert_eq!(old.kicked(), Some(if clean_start { Kick::Discarded } else { Kick::TakenOver }));
        }

        let before = self.model[n].take();
        let resumed = before.filter(|old| {
            let resumed = !clean_start && (!old.connected || old.expiry != 0);
            // A will with a delay waits for a session that stays away, and this one is back or over.
            let kept_quiet = resumed && old.will.is_some_and(|delay| delay > 0);
            self.expected_wills += usize::from(old.will.is_some() && !kept_quiet);
            if !resumed {
                self.expected_dropped += old.waiting;
            }
            resumed
        });
        assert_eq!(attached.session_present, resumed.is_some());
        let (subscribed, waiting) = resumed.map_or((false, 0), |old| (old.subscribed, old.waiting));
        self.model[n] = Some(Model { connected: true, expiry, will, ends: None, will_at: None, subscribed, waiting });
    }

    fn disconnect(&mut self, n: usize, normal: bool) {
        let Some((cell, link)) = self.connections[n].take() else { return };
        let farewell = if normal { Farewell::Normal } else { Farewell::Abrupt };
        self.wills += usize::from(self.sessions.detach(&cell, &link, farewell, at(self.now())).is_some());
        // Whatever a connection does that is gone changes nothing.
        assert!(self.sessions.detach(&cell, &link, Farewell::Abrupt, at(self.now())).is_none());

        let Some(model) = &mut self.model[n] else { panic!("connected without a session") };
        model.connected = false;
        if normal {
            model.will = None;
        }
        model.ends = (model.expiry != u32::MAX).then(|| self.seconds + u64::from(model.expiry));
        model.will_at = model.will.map(|delay| self.seconds + delay);
        self.expire();
    }

    /// What is over by now, in the model.
    fn expire(&mut self) {
        for slot in &mut self.model {
            let Some(model) = slot.as_mut().filter(|model| !model.connected) else { continue };
            let over = model.ends.is_some_and(|at| at <= self.seconds);
            if model.will.is_some() && (over || model.will_at.is_some_and(|at| at <= self.seconds)) {
                model.will = None;
                self.expected_wills += 1;
            }
            if over {
                self.expected_dropped += model.waiting;
                *slot = None;
            }
        }
    }

    fn subscribe(&mut self, n: usize) {
        let Some((cell, link)) = &self.connections[n] else { return };
        let options = SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
            subscription_id: None,
        };
        let mut session = cell.lock(link).expect("it has the session");
        self.router.subscribe(&Subscribed::parse("t/#").unwrap(), &cell.mailbox, options);
        if session.subscriptions.insert("t/#".to_owned(), options).is_none() {
            self.metrics.subscriptions_current.add(1);
        }
        if let Some(model) = &mut self.model[n] {
            model.subscribed = true;
        }
    }

    fn publish(&mut self) {
        let message = &delivery("t/1", 1).message;
        self.router.route(message, &message.client.id, &self.metrics);
        self.model.iter_mut().flatten().filter(|model| model.subscribed).for_each(|model| model.waiting += 1);
    }

    /// The broker's clock stops at every second: it must do each thing at its own, never earlier.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.seconds += 1;
            let mut published = 0;
            let next = self.sessions.run_due(self.now(), |_| published += 1);
            assert!(next.is_none_or(|next| next > self.now()));
            self.wills += published;
            self.expire();
            self.check();
        }
    }

    fn check(&self) {
        assert_eq!(self.wills, self.expected_wills, "wills");
        assert_eq!(self.metrics.delivery_dropped_session_ended.get(), self.expected_dropped as u64, "dropped");
        let here = self.model.iter().flatten().count();
        assert_eq!((self.sessions.len(), self.metrics.sessions_current.get()), (here, here as u64));
        let subscribed = self.model.iter().flatten().filter(|model| model.subscribed).count();
        assert_eq!(self.metrics.subscriptions_current.get(), subscribed as u64);
        assert_eq!(self.router.is_empty(), subscribed == 0);
    }
}

fn step() -> impl Strategy<Value = Step> {
    let expiry = prop::sample::select(vec![0, 5, 20, u32::MAX]);
    let will = prop::sample::select(vec![None, Some(0), Some(3), Some(10), Some(30)]);
    prop_oneof![
        4 => (0..3_usize, any::<bool>(), expiry, will)
            .prop_map(|(client, clean, expiry, will)| Step::Connect { client, clean, expiry, will }),
        3 => (0..3_usize, any::<bool>()).prop_map(|(client, normal)| Step::Disconnect { client, normal }),
        2 => (0..3_usize).prop_map(Step::Subscribe),
        2 => Just(Step::Publish),
        3 => (1..25_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn sessions_and_wills_live_as_long_as_the_standard_says(steps in prop::collection::vec(step(), 0..60)) {
        let mut simulation = Simulation::new();
        for step in steps {
            simulation.step(step);
        }
        for client in 0..CLIENTS.len() {
            simulation.disconnect(client, false);
        }
        simulation.wait(40);
        // What is left lives for ever; one clean start with an end takes it away, and with it the last deadline.
        for client in 0..CLIENTS.len() {
            simulation.connect(client, true, 0, None);
            simulation.disconnect(client, true);
        }
        simulation.check();
        assert_eq!((simulation.sessions.len(), simulation.sessions.deadlines.lock().next()), (0, None));
    }
}
