//! What a worker sees of guests that behave and of guests that do not.

use super::super::testing::{ACCEPT, KEEP, flat, item, load, message, record, when_marked};
use super::super::{CircuitState, Engine, Limits, SITE_TAGS};
use super::*;
use crate::units::Millis;

fn limits() -> Limits {
    // Generous enough for a busy machine: a test that expects an answer must not meet the deadline.
    Limits { deadline: Millis(100), memory: ByteSize::mib(2), output: ByteSize::kib(64), instances: 2 }
}

fn warm(transform: &str) -> Warm {
    Warm::new(load(&flat(ACCEPT, transform), limits()).unwrap())
}

/// One word for each verdict.
fn run(warm: &mut Warm, messages: &[(&str, &str)]) -> Vec<String> {
    let senders: Vec<_> = messages.iter().map(|(client, _)| message(client)).collect();
    let records: Vec<_> = messages.iter().map(|(_, value)| record(value)).collect();
    let items: Vec<_> = senders.iter().zip(&records).map(|(message, record)| item(message, record)).collect();
    let mut verdicts = Vec::new();
    warm.transform(&items, &mut verdicts);
    let word = |(verdict, (_, value)): (&Verdict, &(&str, &str))| match verdict {
        Verdict::Keep => format!("keep {value}"),
        Verdict::Failed(error) => error.kind().to_owned(),
        other => format!("{other:?}"),
    };
    verdicts.iter().zip(messages).map(word).collect()
}

#[test]
fn a_large_batch_comes_back_whole_and_in_order() {
    let guest =
        Guest::load(&Engine::new(None).unwrap(), "site-tags", SITE_TAGS, r#"{"site": "plant-7"}"#, Limits::default())
            .unwrap();
    let mut warm = Warm::new(guest.clone());
    let sender = message("a");
    let count = 3 * MAX_BATCH + 1;
    let records: Vec<_> = (0..count).map(|n| record(&n.to_string())).collect();
    let items: Vec<_> = records.iter().map(|record| item(&sender, record)).collect();
    let mut verdicts = Vec::new();
    warm.transform(&items, &mut verdicts);
    assert_eq!(verdicts.len(), count);
    for (mut record, verdict) in records.clone().into_iter().zip(verdicts) {
        let Verdict::Change(patch) = verdict else { panic!("{verdict:?}") };
        let before = record.value.clone();
        patch.apply(&mut record);
        assert_eq!(record.value, before);
        assert_eq!(&*record.headers[0].0, "site");
        assert_eq!(record.headers[0].1.as_deref(), Some(&b"plant-7"[..]));
    }
    let status = guest.status();
    assert_eq!((status.messages, status.failed_messages, status.restarts, status.instances), (count as u64, 0, 0, 1));
}

#[test]
fn nothing_is_nothing() {
    assert!(run(&mut warm("unreachable"), &[]).is_empty());
}

#[test]
fn one_bad_message_fails_alone() {
    for (deed, kind) in [
        ("unreachable", "trap"),
        ("(loop $for_ever (br $for_ever))", "deadline"),
        ("(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable))", "memory_limit"),
    ] {
        let mut warm = warm(&when_marked(deed));
        assert_eq!(run(&mut warm, &[("a", "1"), ("b", "!"), ("a", "3")]), ["keep 1", kind, "keep 3"], "{deed}");
        assert_eq!(warm.guest().status().failed_messages, 1);
        assert_eq!(warm.guest().status().circuit, CircuitState::Closed);
        assert_eq!(run(&mut warm, &[("a", "4")]), ["keep 4"], "{deed}");
    }
}

#[test]
fn a_guest_that_stops_every_call_cannot_hold_its_worker() {
    let mut warm = warm("(loop $for_ever (br $for_ever)) unreachable");
    let messages: Vec<_> = (0..100).map(|_| ("a", "1")).collect();
    let start = Instant::now();
    assert!(run(&mut warm, &messages).iter().all(|kind| kind == "deadline"));
    // One batch, a bounded time for trying again, one attempt under way when it ends; and patience with the machine.
    assert!(start.elapsed() < 3 * limits().deadline.duration() * (RETRY_DEADLINES + 2));
}

#[test]
fn wrong_answers_are_told_apart() {
    let count = |count: &str| format!("{KEEP} drop (i32.store (i32.const 12) {count}) (i32.const 0)");
    let too_few = count("(i32.sub (i32.load (local.get $words)) (i32.const 1))");
    let too_many = count("(i32.add (i32.load (local.get $words)) (i32.const 1))");
    let beyond_memory = count("(i32.const 0x7fffffff)");
    let bad_kind = format!("(i32.store (i32.const 8192) (i32.const 77)) {KEEP}");
    // 20,000 words are over the 64 KB of the limit and within the memory; 50,000 are more than a call may hand over at all.
    let too_large = count("(i32.const 20000)");
    let much_too_large = format!("(drop (memory.grow (i32.const 4))) {}", count("(i32.const 50000)"));
    for (transform, kind) in [
        (&too_few, "wrong_outcome_count"),
        (&too_many, "wrong_outcome_count"),
        (&beyond_memory, "trap"),
        (&bad_kind, "malformed_outcome"),
        (&too_large, "output_too_large"),
        (&much_too_large, "output_too_large"),
    ] {
        assert_eq!(run(&mut warm(transform), &[("a", "1")]), [kind], "{transform}");
    }
}

#[test]
fn a_guest_that_keeps_failing_is_left_alone_for_a_while() {
    let mut warm = warm("unreachable");
    let kinds: Vec<_> = (0..8).flat_map(|n| run(&mut warm, &[(["a", "b"][n % 2], "1")])).collect();
    assert_eq!(kinds, ["trap", "trap", "trap", "trap", "trap", "circuit_open", "circuit_open", "circuit_open"]);
    assert!(matches!(warm.guest().status().circuit, CircuitState::Open { failures: 5, .. }));
}

#[test]
fn a_message_that_memory_cannot_hold_is_no_fault_of_the_guest() {
    let mut warm = warm(KEEP);
    let large = "x".repeat(limits().memory.as_usize() / 2);
    assert_eq!(run(&mut warm, &[("a", "1"), ("a", &large), ("a", "3")]), ["keep 1", "message_too_large", "keep 3"]);
    assert_eq!(warm.guest().status().restarts, 0);
    for n in 0..10 {
        run(&mut warm, &[(["a", "b"][n % 2], &large)]);
    }
    assert_eq!(warm.guest().status().circuit, CircuitState::Closed);
}

#[test]
fn instances_are_counted_and_given_back() {
    let guest = load(&flat(ACCEPT, KEEP), limits()).unwrap();
    let first = guest.instantiate().unwrap();
    let second = guest.instantiate().unwrap();
    assert!(matches!(guest.instantiate(), Err(PluginError::TooManyInstances { limit: 2 })));
    drop(first);
    assert!(guest.instantiate().is_ok());
    drop(second);
    assert_eq!(guest.status().instances, 0);
}

#[test]
fn what_init_says_is_heard() {
    let refuse = r#"
        (i32.store8 (i32.const 16) (i32.const 1))
        (i32.store (i32.const 20) (i32.const 32)) (i32.store (i32.const 24) (i32.const 2))
        (i32.store (i32.const 32) (i32.const 0x6f6e))
        (i32.const 16)"#;
    let error = load(&flat(refuse, KEEP), limits()).unwrap_err();
    assert!(matches!(&error, PluginError::GuestRefusedInit(reason) if reason == "no"), "{error}");
    assert!(matches!(load(&flat("unreachable", KEEP), limits()), Err(PluginError::Trap { .. })));
    let greedy = "(drop (memory.grow (i32.const 1000))) unreachable";
    assert!(matches!(load(&flat(greedy, KEEP), limits()), Err(PluginError::MemoryLimit { .. })));
}
