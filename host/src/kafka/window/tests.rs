//! Order, bounds and policies of the window, without Kafka.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ack::{AckGroup, AckSignal};
use crate::ledger::Ledger;

const GATE: Gate = Gate { open_for: Duration::from_millis(1), batch_bytes: 1 << 20 };

fn draft(ledger: &Arc<Ledger>, name: &str, bytes: usize) -> Draft {
    ledger.accept(1);
    let record = Record { topic: name.into(), value: Some(vec![0; bytes].into()), ..Record::default() };
    Draft { record, ack: AckHandle::detached(), charge: ledger.charge() }
}

fn keyed(ledger: &Arc<Ledger>, key: &str, name: &str) -> Draft {
    let mut draft = draft(ledger, name, 1);
    draft.record.key = Some(Bytes::copy_from_slice(key.as_bytes()));
    draft
}

fn limits(on_full: OnFull) -> Limits {
    Limits {
        in_flight: 2,
        in_flight_bytes: 100,
        waiting_bytes: 50,
        on_full,
        received_is_enough: false,
        strategy: PartitionStrategy::KeyDispatch,
        gate: GATE,
    }
}

fn window(on_full: OnFull) -> (Window, Arc<Ledger>) {
    (Window::new(limits(on_full)), Arc::default())
}

/// A window over that many partitions whose limits never matter.
fn wide(partitions: usize) -> (Window, Arc<Ledger>) {
    let mut window = Window::new(Limits {
        in_flight: 1000,
        in_flight_bytes: 1 << 20,
        waiting_bytes: 1 << 20,
        ..limits(OnFull::Block)
    });
    window.set_partitions(&vec![true; partitions]);
    (window, Arc::default())
}

fn topics(drafts: &[Draft]) -> Vec<&str> {
    drafts.iter().map(|draft| &*draft.record.topic).collect()
}

/// Takes it in; the departure if it goes at once.
fn take(window: &mut Window, draft: Draft, now: Instant) -> Option<Departure> {
    let mut departures = Vec::new();
    assert!(matches!(window.take(draft, now, &mut departures), Admission::Taken));
    departures.pop()
}

/// Sends all that may go: names in order.
fn sent(window: &mut Window, now: Instant) -> Vec<Departure> {
    let mut all = Vec::new();
    while let Some(mut run) = window.begin_run(now) {
        all.append(&mut run.departures);
        window.end_run(run, now);
    }
    all
}

#[test]
fn order_holds_over_the_edge_of_the_window() {
    let (mut window, ledger) = window(OnFull::Block);
    let now = Instant::now();
    let first = take(&mut window, draft(&ledger, "a", 1), now).unwrap();
    take(&mut window, draft(&ledger, "b", 1), now).unwrap();
    for name in ["c", "d"] {
        assert!(take(&mut window, draft(&ledger, name, 1), now).is_none());
    }
    assert!(window.begin_run(now).is_none());
    window.land(first.ticket).unwrap();
    // There is room again, but `e` must not overtake `c`.
    assert!(take(&mut window, draft(&ledger, "e", 1), now).is_none());
    let next = sent(&mut window, now);
    assert_eq!(next.iter().map(|departure| &*departure.record.topic).collect::<Vec<_>>(), ["c"]);
    assert!(window.land(first.ticket).is_some(), "the freed place was used again");
    assert!(window.land(first.ticket).is_none(), "a second report of one ticket is noticed");
}

#[test]
fn bytes_bound_the_window_but_one_record_always_goes() {
    let (mut window, ledger) = window(OnFull::Block);
    let now = Instant::now();
    assert!(take(&mut window, draft(&ledger, "large", 1000), now).is_some());
    assert!(take(&mut window, draft(&ledger, "small", 1), now).is_none());
}

#[test]
fn each_policy_has_its_own_victim() {
    for policy in [OnFull::Block, OnFull::Reject, OnFull::DropNewest, OnFull::DropOldest] {
        let (mut window, ledger) = window(policy);
        let (now, mut gone) = (Instant::now(), Vec::new());
        for name in ["out", "out too"] {
            assert!(take(&mut window, draft(&ledger, name, 1), now).is_some());
        }
        let group = AckGroup::open(1, &AckSignal::new());
        assert!(take(&mut window, draft(&ledger, "old", 40), now).is_none());
        let new = Draft { ack: group.handle(0), ..draft(&ledger, "new", 40) };
        match (policy, window.take(new, now, &mut gone)) {
            (OnFull::Block, Admission::Taken) => assert_eq!(window.waiting(), 2),
            (OnFull::Reject | OnFull::DropNewest, Admission::Full(victim)) => {
                assert_eq!((&*victim.record.topic, window.waiting()), ("new", 1));
            }
            (OnFull::DropOldest, Admission::Displaced(victims)) => {
                assert_eq!(topics(&victims), ["old"]);
                assert_eq!((window.waiting(), window.waiting_bytes()), (1, 40));
            }
            (policy, other) => panic!("{policy:?}: {other:?}"),
        }
    }
}

#[test]
fn what_nobody_waits_for_does_not_pile_up_beyond_the_limit() {
    let (mut window, ledger) = window(OnFull::Block);
    let (now, mut gone) = (Instant::now(), Vec::new());
    for name in ["out", "out too"] {
        assert!(take(&mut window, draft(&ledger, name, 1), now).is_some());
    }
    assert!(take(&mut window, draft(&ledger, "event", 40), now).is_none());
    assert!(matches!(window.take(draft(&ledger, "another", 40), now, &mut gone), Admission::Full(_)));
    assert_eq!(window.waiting(), 1);
}

#[test]
fn what_librdkafka_would_not_take_keeps_its_place() {
    let (mut window, ledger) = window(OnFull::Block);
    let now = Instant::now();
    let gone: Vec<_> = ["a", "b"].map(|name| take(&mut window, draft(&ledger, name, 1), now).unwrap()).into();
    assert!(take(&mut window, draft(&ledger, "c", 1), now).is_none());
    for departure in gone.into_iter().rev() {
        window.put_back(departure, now);
    }
    assert_eq!(topics(&window.take_waiting()), ["a", "b", "c"]);
    assert!(window.is_idle());
}

#[test]
fn what_is_left_of_a_run_goes_first_next_time() {
    let (mut window, ledger) = wide(1);
    let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(1));
    let out = take(&mut window, keyed(&ledger, "k", "out"), now).unwrap();
    for name in ["a", "b", "c"] {
        assert!(take(&mut window, keyed(&ledger, "k", name), later).is_none());
    }
    window.land(out.ticket).unwrap();
    let mut run = window.begin_run(later).unwrap();
    let first = run.departures.remove(0);
    assert!(window.begin_run(later).is_none(), "nothing passes a run");
    window.end_run(run, later);
    window.land(first.ticket).unwrap();
    let rest = sent(&mut window, later);
    assert_eq!(rest.iter().map(|departure| &*departure.record.topic).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn received_is_told_within_the_limit_only() {
    let mut window = Window::new(Limits { in_flight: 1, received_is_enough: true, ..limits(OnFull::Block) });
    let (ledger, now) = (Arc::default(), Instant::now());
    let group = AckGroup::open(4, &AckSignal::new());
    for (slot, bytes) in [(0, 10), (1, 40), (2, 40), (3, 1)] {
        take(&mut window, Draft { ack: group.handle(slot), ..draft(&ledger, "t", bytes) }, now);
    }
    let told: Vec<_> = (0..4).map(|slot| group.outcome(slot)).collect();
    assert_eq!(told, [Some(Outcome::Delivered), Some(Outcome::Delivered), None, None]);
}

#[test]
fn what_waited_too_long_is_not_sent() {
    let (mut window, ledger) = window(OnFull::Block);
    let now = Instant::now();
    let out = ["a", "b"].map(|name| take(&mut window, draft(&ledger, name, 1), now).unwrap());
    assert!(take(&mut window, draft(&ledger, "late", 1), now).is_none());
    assert_eq!(topics(&window.take_overdue(|_| true)), ["late"]);
    for departure in out {
        window.land(departure.ticket).unwrap();
    }
    assert!(window.is_idle());
}

#[test]
fn a_partition_has_one_batch_on_its_way_and_holds_up_no_other() {
    let (mut window, ledger) = wide(2);
    let (now, later) = (Instant::now(), Instant::now() + Duration::from_millis(2));
    let [zero, one] = [0, 1].map(|wanted| {
        (0..).map(|n| format!("key-{n}")).find(|key| partition::of_key(key.as_bytes(), 2) == wanted).unwrap()
    });
    let first = take(&mut window, keyed(&ledger, &zero, "a"), now).unwrap();
    assert_eq!(first.partition, Some(0));
    assert!(take(&mut window, keyed(&ledger, &zero, "b"), now).is_some(), "the batch is still open");
    assert!(take(&mut window, keyed(&ledger, &zero, "c"), later).is_none(), "the batch is on its way");
    assert_eq!(take(&mut window, keyed(&ledger, &one, "d"), later).unwrap().partition, Some(1));
}

#[test]
fn records_without_a_key_go_where_a_batch_is_open_and_a_leader_is_there() {
    let (mut window, ledger) = wide(3);
    window.set_partitions(&[true, false, true]);
    let (now, later) = (Instant::now(), Instant::now() + Duration::from_millis(2));
    let partition = |departure: Option<Departure>| departure.and_then(|departure| departure.partition);
    for _ in 0..3 {
        assert_eq!(partition(take(&mut window, draft(&ledger, "t", 1), now)), Some(0));
    }
    let mut used: Vec<_> = (0..40).map(|_| partition(take(&mut window, draft(&ledger, "t", 1), later))).collect();
    used.retain(Option::is_some);
    assert!(!used.is_empty() && used.iter().all(|partition| *partition == Some(2)), "{used:?}");
}

#[test]
fn over_a_change_of_the_partitions_records_wait_for_what_is_in_flight() {
    let (mut window, ledger) = (Window::new(Limits { in_flight: 10, ..limits(OnFull::Block) }), Arc::default());
    let now = Instant::now();
    let first = take(&mut window, keyed(&ledger, "k", "a"), now).unwrap();
    assert_eq!(first.partition, None, "nobody knows the partitions yet");
    window.set_partitions(&[true; 4]);
    assert!(take(&mut window, keyed(&ledger, "k", "b"), now).is_none());
    assert!(window.begin_run(now).is_none());
    window.land(first.ticket).unwrap();
    let second = sent(&mut window, now);
    assert_eq!(second[0].partition, Some(partition::of_key(b"k", 4) as i32));
    assert_eq!(&*second[0].record.topic, "b");
}

#[derive(Clone, Debug)]
enum Step {
    Take(u8),
    Land(usize),
    Send,
    /// Sends so many of a run and gives the rest back.
    Fail(usize),
    Partitions(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any::<u8>().prop_map(Step::Take),
        4 => (0..8_usize).prop_map(Step::Land),
        3 => Just(Step::Send),
        1 => (0..3_usize).prop_map(Step::Fail),
        1 => (0..4_usize).prop_map(Step::Partitions),
        1 => (0..3000_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever happens, each key's records reach Kafka in order, none twice, and none is lost.
    #[test]
    fn every_record_goes_once_and_in_the_order_of_its_key(steps in steps()) {
        let mut window = Window::new(Limits { in_flight: 6, waiting_bytes: 1 << 20, ..limits(OnFull::Block) });
        let (ledger, mut now) = (Arc::new(Ledger::default()), Instant::now());
        let (mut out, mut log, mut next) = (Vec::new(), Vec::new(), 0);
        let mut go = |departure: Departure, out: &mut Vec<Ticket>| {
            log.push((departure.record.key.clone(), departure.record.topic.parse::<u32>().unwrap()));
            out.push(departure.ticket);
        };
        let finish = [Step::Pass(5000), Step::Send].into_iter();
        let landing = std::iter::repeat_n([Step::Land(0), Step::Send], 400).flatten();
        for step in steps.into_iter().chain(finish).chain(landing) {
            match step {
                Step::Take(key) => {
                    let draft = keyed(&ledger, &format!("{}", key % 5), &next.to_string());
                    next += 1;
                    if let Some(departure) = take(&mut window, draft, now) {
                        go(departure, &mut out);
                    }
                }
                Step::Land(at) if !out.is_empty() => {
                    let ticket = out.remove(at % out.len());
                    window.land(ticket).unwrap().charge.settled();
                    ledger.delivered(1);
                }
                Step::Land(_) => {}
                Step::Send => sent(&mut window, now).into_iter().for_each(|departure| go(departure, &mut out)),
                Step::Fail(after) => {
                    if let Some(mut run) = window.begin_run(now) {
                        for departure in run.departures.drain(..after.min(run.departures.len())) {
                            go(departure, &mut out);
                        }
                        window.end_run(run, now);
                    }
                }
                Step::Partitions(count) => window.set_partitions(&vec![true; count]),
                Step::Pass(micros) => now += Duration::from_micros(micros),
            }
        }
        prop_assert!(window.is_idle(), "{} wait, {} fly", window.waiting(), window.in_flight());
        prop_assert_eq!(log.len() as u32, next);
        let keys: std::collections::BTreeSet<_> = log.iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let numbers: Vec<_> = log.iter().filter(|(of, _)| *of == key).map(|(_, number)| *number).collect();
            prop_assert!(numbers.is_sorted(), "{:?}: {:?}", key, numbers);
        }
    }
}
