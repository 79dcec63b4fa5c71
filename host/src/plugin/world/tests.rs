//! Components that fit, and what is said of those that do not.

use super::super::testing::{ACCEPT, KEEP, component, flat, flat_text, load};
use super::super::{Engine, Guest, Limits, SITE_TAGS};
use super::*;

fn mismatch(bytes: &[u8]) -> String {
    match load(bytes, Limits::default()) {
        Err(PluginError::WorldMismatch(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// An export of the plain interface with one function of this type.
fn plain_with(name: &str, ty: &str, lift: &str) -> Vec<u8> {
    component(&format!(
        r#"
        (core module $m (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
            (func (export "f0"))
            (func (export "init") (param i32 i32) (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $f {ty} (canon lift {lift}))
        (instance $exports (export "{name}" (func $f)))
        (export "millstream:plugin/plugin@0.1.0" (instance $exports))
        "#
    ))
}

#[test]
fn the_flat_world_is_recognised() {
    assert_eq!(load(&flat(ACCEPT, KEEP), Limits::default()).unwrap().kind(), Kind::TransformFlat);
    let engine = Engine::new(None).unwrap();
    let sample = Guest::load(&engine, "site-tags", SITE_TAGS, r#"{"site":"plant-7"}"#, Limits::default()).unwrap();
    assert_eq!(sample.kind(), Kind::TransformFlat);
    assert_eq!(sample.describe().world, "millstream:plugin/transform-flat@0.1.0");
    assert!(sample.describe().imports.iter().all(|name| name.starts_with("millstream:plugin/") || is_wasi_p2(name)));
}

#[test]
fn a_component_of_another_kind_is_told_what_a_plugin_exports() {
    let text = mismatch(&component(r#"(instance $i) (export "wasi:cli/run@0.2.0" (instance $i))"#));
    assert!(text.contains("It exports: wasi:cli/run@0.2.0."), "{text}");
    for asked in
        ["millstream:plugin/plugin@0.1.0", "transform: func(batch: list<message>) -> list<outcome>", "functions@0.1.0"]
    {
        assert!(text.contains(asked), "{text}");
    }
    assert!(mismatch(&component("")).contains("It exports: nothing."));
}

#[test]
fn another_version_is_not_taken_for_this_one() {
    let text = mismatch(&component(r#"(instance $i) (export "millstream:plugin/plugin@7.0.0" (instance $i))"#));
    assert!(text.contains("It exports: millstream:plugin/plugin@7.0.0."), "{text}");
}

#[test]
fn missing_functions_and_wrong_types_are_named() {
    let text = mismatch(&plain_with("init", "", r#"(core func $i "f0")"#));
    assert!(text.contains("`init` has the type `func()`"), "{text}");
    assert!(text.contains("asked for: `init: func(config: string) -> result<_, string>`"), "{text}");
    assert!(
        text.contains("`transform` is missing; asked for: `transform: func(batch: list<message>) -> list<outcome>`"),
        "{text}"
    );

    let right = r#"(core func $i "init") (memory $i "memory") (realloc (func $i "realloc"))"#;
    let text = mismatch(&plain_with("init", r#"(param "config" string) (result (result (error string)))"#, right));
    assert!(!text.contains("`init` has"), "{text}");
    assert!(text.contains("`transform` is missing"), "{text}");
}

#[test]
fn an_import_that_nobody_gives_is_named() {
    let imports = r#"
        (import "wasi:clocks/wall-clock@0.2.0" (instance))
        (import "wasi:http/types@0.2.0" (instance (export "f" (func))))
        (import "acme:database/query" (instance (export "f" (func))))"#;
    let text = mismatch(&component(&format!("{imports} {}", flat_text(ACCEPT, KEEP))));
    assert!(text.contains("Not granted here: wasi:http/types@0.2.0, acme:database/query."), "{text}");
}

#[test]
fn a_function_of_the_host_with_another_type_is_named() {
    let import = r#"(import "millstream:plugin/host@0.1.0" (instance (export "log" (func (param "text" string)))))"#;
    let text = mismatch(&component(&format!("{import} {}", flat_text(ACCEPT, KEEP))));
    assert!(text.contains("log"), "{text}");
}

#[test]
fn two_worlds_in_one_component_are_refused() {
    let both = r#"(instance $i) (export "millstream:plugin/functions@0.1.0" (instance $i))
        (instance $j) (export "millstream:plugin/plugin@0.1.0" (instance $j))"#;
    assert!(mismatch(&component(both)).contains("a plugin exports exactly one"));
}
