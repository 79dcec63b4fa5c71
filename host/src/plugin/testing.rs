//! Small guests and messages for the tests of this module. The guests are written in WebAssembly text, so that a test
//! can do what no SDK would.

use std::sync::Arc;

use bytes::Bytes;

use super::{Engine, Guest, Item, Limits, PluginError};
use crate::message::{Message, Record, testing};

/// A component for the flat world. `transform` is the body of a core function with the locals of the canonical ABI
/// (`$arena $arena_len $words $words_len`), a scratch `$i`, and an `i32` result: the address of arena, length, words,
/// length. `keep` calls are available as `(call $keep (local.get $words))`.
pub(super) fn flat(init: &str, transform: &str) -> Vec<u8> {
    component(&flat_text(init, transform))
}

/// The same as text, for who wants to add to it.
pub(super) fn flat_text(init: &str, transform: &str) -> String {
    format!(
        r#"
        (core module $m
            (memory (export "memory") 2)
            (global $next (mut i32) (i32.const 65536))
            (global $count (mut i32) (i32.const 0))
            (func $realloc (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (local $end i32)
                (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                (local.set $end (i32.add (global.get $next) (local.get $size)))
                (if (i32.gt_u (local.get $end) (i32.mul (memory.size) (i32.const 65536)))
                    (then (if (i32.eq (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))
                                      (i32.const -1))
                        (then unreachable))))
                (global.get $next)
                (global.set $next (local.get $end)))
            ;; Room for the next batch: nothing that was allocated before is used any more.
            (func (export "free") (param i32) (global.set $next (i32.const 65536)))
            ;; As many words of zero as there are messages.
            (func $keep (param $words i32) (result i32)
                (i32.store (i32.const 0) (i32.const 1024))
                (i32.store (i32.const 4) (i32.const 0))
                (i32.store (i32.const 8) (i32.const 8192))
                (i32.store (i32.const 12) (i32.load (local.get $words)))
                (i32.const 0))
            (func (export "init") (param i32 i32) (result i32) {init})
            (func (export "transform") (param $arena i32) (param $arena_len i32) (param $words i32) (param $words_len i32)
                (result i32) (local $i i32)
                {transform}))
        (core instance $i (instantiate $m))
        (type $messages' (record (field "arena" (list u8)) (field "words" (list u32))))
        (func $init (param "config" string) (result (result (error string)))
            (canon lift (core func $i "init") (memory $i "memory") (realloc (func $i "realloc"))))
        (component $shim
            (type $record (record (field "arena" (list u8)) (field "words" (list u32))))
            (import "messages" (type $messages (eq $record)))
            (import "outcomes" (type $outcomes (eq $record)))
            (import "init" (func $init (param "config" string) (result (result (error string)))))
            (import "transform" (func $transform (param "batch" $messages) (result $outcomes)))
            (export $messages2 "messages" (type $messages))
            (export $outcomes2 "outcomes" (type $outcomes))
            (export "init" (func $init))
            (export "transform" (func $transform) (func (param "batch" $messages2) (result $outcomes2))))
        (func $transform (param "batch" $messages') (result $messages')
            (canon lift (core func $i "transform") (memory $i "memory") (realloc (func $i "realloc"))
                (post-return (func $i "free"))))
        (instance $exports (instantiate $shim
            (with "messages" (type $messages')) (with "outcomes" (type $messages'))
            (with "init" (func $init)) (with "transform" (func $transform))))
        (export "millstream:plugin/plugin-flat@0.1.0" (instance $exports))
        "#
    )
}

/// `init` that says yes.
pub(super) const ACCEPT: &str = "(i32.store8 (i32.const 16) (i32.const 0)) (i32.const 16)";
/// `transform` that changes nothing.
pub(super) const KEEP: &str = "(call $keep (local.get $words))";

/// Any component.
pub(super) fn component(body: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {body})")).unwrap()
}

/// A body for `transform` that does `deed` when a message's value begins with `!`, and keeps all otherwise.
pub(super) fn when_marked(deed: &str) -> String {
    format!(
        r#"
        (block $done (loop $next
            (br_if $done (i32.ge_u (local.get $i) (i32.load (local.get $words))))
            (if (i32.eq (i32.const 33) (i32.load8_u (i32.add (local.get $arena)
                    (i32.load offset=28 (i32.add (local.get $words) (i32.mul (local.get $i) (i32.const 96)))))))
                (then {deed}))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $next)))
        {KEEP}"#
    )
}

pub(super) fn load(bytes: &[u8], limits: Limits) -> Result<Arc<Guest>, PluginError> {
    Guest::load(&Engine::new(None)?, "test", bytes, "{}", limits)
}

pub(super) fn message(client: &str) -> Message {
    testing::message(&testing::client(client), "t/1", "")
}

pub(super) fn record(value: &str) -> Record {
    Record { topic: "out".into(), value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Record::default() }
}

pub(super) fn item<'a>(message: &'a Message, record: &'a Record) -> Item<'a> {
    Item { record, message, rule: "rule" }
}
