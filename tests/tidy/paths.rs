//! The `crate::` paths of a file: `use crate::a::{b, c::d}` names `a::b` and `a::c`.

/// The first two names of every path that starts at `crate::`; the second is missing when the path has only one.
pub fn crate_paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, head) in code.match_indices("crate::") {
        let part_of_a_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if !part_of_a_word {
            tree(&code[at + head.len()..], &mut Vec::new(), &mut found);
        }
    }
    found
}

/// The first names of the path or group that `rest` starts with: `{A, b::C}` gives `A` and `b`.
pub fn names_of(rest: &str) -> Vec<String> {
    let mut found = Vec::new();
    tree(rest, &mut Vec::new(), &mut found);
    found.into_iter().filter_map(|path| path.into_iter().next()).collect()
}

/// Reads one path or one `{..}` group at the start of `rest`, below `prefix`; gives what follows it.
fn tree<'a>(rest: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = inside.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if inside.is_empty() {
                return inside;
            }
            if let Some(after) = inside.strip_prefix('}') {
                return after;
            }
            let before = inside.len();
            inside = tree(inside, prefix, found);
            if inside.len() == before {
                // Not a group of names: skip what is there, rather than stay here for ever.
                inside = &inside[inside.chars().next().map_or(0, char::len_utf8)..];
            }
        }
    }
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || "_*".contains(*c)).collect();
    if name.is_empty() {
        // `a::<B>`: the path has ended.
        if rest.starts_with('<') && !prefix.is_empty() {
            found.push(prefix.iter().take(2).cloned().collect());
        }
        return rest;
    }
    let mut rest = &rest[name.len()..];
    prefix.push(name);
    match rest.trim_start().strip_prefix("::") {
        Some(after) => rest = tree(after, prefix, found),
        None => {
            // `b as c` in a group.
            if let Some(alias) = rest.strip_prefix(" as ") {
                rest = alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
            }
            found.push(prefix.iter().take(2).cloned().collect());
        }
    }
    prefix.pop();
    rest
}

#[test]
fn groups_and_inline_paths_are_found() {
    let code =
        "use crate::{ack::A, rule::{self, b::C}, kafka};\nfn f() { crate::mqtt::codec::<u8>::g(); } pub(crate) x";
    let found: Vec<_> = crate_paths(code).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["ack::A", "rule::self", "rule::b", "kafka", "mqtt::codec"]);
}
