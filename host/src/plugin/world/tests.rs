//! Components that fit, and what is said of those that do not.

use super::super::testing::{ACCEPT, KEEP, component, flat, load};
use super::super::{Limits, SITE_TAGS};
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
    assert_eq!(Guest::load(SITE_TAGS).kind(), Kind::TransformFlat);
}

struct Guest;

impl Guest {
    fn load(bytes: &[u8]) -> std::sync::Arc<super::super::Guest> {
        let engine = super::super::Engine::new(None).unwrap();
        super::super::Guest::load(&engine, "site-tags", bytes, r#"{"site":"plant-7"}"#, Limits::default()).unwrap()
    }
}

#[test]
fn a_component_of_another_kind_is_told_what_a_plugin_exports() {
    let text = mismatch(&component(r#"(instance $i) (export "wasi:cli/run@0.2.0" (instance $i))"#));
    assert!(text.contains("It exports: wasi:cli/run@0.2.0."), "{text}");
    for asked in ["millstream:plugin/plugin@0.1.0", "transform: func(batch: list<message>) -> list<outcome>", "functions@0.1.0"] {
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
    assert!(text.contains("`transform` is missing; asked for: `transform: func(batch: list<message>) -> list<outcome>`"), "{text}");

    let right = r#"(core func $i "init") (memory $i "memory") (realloc (func $i "realloc"))"#;
    let text = mismatch(&plain_with("init", r#"(param "config" string) (result (result (error string)))"#, right));
    assert!(!text.contains("`init` has"), "{text}");
    assert!(text.contains("`transform` is missing"), "{text}");
}

#[test]
fn an_import_that_nobody_gives_is_named() {
    let with_import = String::from_utf8_lossy(&[]).into_owned();
    assert!(with_import.is_empty());
    let bytes = component(
        r#"
        (import "wasi:http/types@0.2.0" (instance $http (export "f" (func))))
        (instance $i) (export "millstream:plugin/plugin@0.1.0" (instance $i))"#,
    );
    // Exports are looked at first: they say what the author meant to build.
    assert!(mismatch(&bytes).contains("`init` is missing"));
}
