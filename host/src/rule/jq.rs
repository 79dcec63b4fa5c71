//! The jq language: a program over one JSON text gives its outputs. What runs here may never end, may ask for all memory
//! and all stack: only a process that may be killed calls it (`millstream jq-helper`; the rules' `jq` waits for that).
//!
//! It reads no file, no environment and no other module; what it prints for itself is lost.

use std::cell::RefCell;
use std::rc::Rc;

use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars};
use jaq_json::{Num, Val, read};
use rustc_hash::FxHashMap;

use crate::value::{Value, write_json_text};

/// Longest text of all outputs together, in bytes.
pub const MAX_OUTPUT: usize = 16 << 20;
/// In bytes.
const MAX_PROGRAM: usize = 64 << 10;
/// Levels of one output; a JSON text has no more either.
const MAX_LEVELS: usize = crate::value::json::MAX_DEPTH;
/// Compiled programs that one thread keeps.
const KEPT: usize = 64;

type Program = jaq_core::Filter<JustLut<Val>>;
/// A program that does not compile is remembered too.
type Kept = Result<Rc<Program>, String>;

/// What jq has and the interpreter's own library has not.
const PRELUDE: &str = r#"
def env: {};
def halt: error("halt is not allowed");
def halt_error: error("halt is not allowed");
def halt_error($code): error("halt is not allowed");
def IN(s): . as $x | any(s; . == $x);
def IN(src; s): any(src; IN(s));
def INDEX(rows; key): [rows | { (key | tostring): . }] | add // {};
def INDEX(key): INDEX(.[]; key);
def ascii: [.] | implode;
def join($between): reduce .[] as $part (null; (if . == null then "" else . + $between end)
  + ($part | if . == null then "" elif isstring then . else tojson end)) // "";
def toarray: if isarray then . else [.] end;
def have_literal_numbers: true;
def have_decnum: false;
def tostream:
  def events($at): if (isarray or isobject) and length > 0
    then keys_unsorted as $keys | ($keys[] as $key | .[$key] | events($at + [$key])), [$at + [$keys[-1]]]
    else [$at, .] end;
  events([]);
def truncate_stream(events): . as $depth | events | if .[0] | length > $depth then .[0] |= .[$depth:] else empty end;
def @csv: [.[] | if . == null then "" elif isboolean or isnumber then tojson
  elif isstring then "\"" + gsub("\""; "\"\"") + "\"" else error("\(type) is not valid in a csv row") end] | join(",");
def @tsv: [.[] | if . == null then "" elif isboolean or isnumber then tojson
  elif isstring then gsub("\\\\"; "\\\\") | gsub("\t"; "\\t") | gsub("\n"; "\\n") | gsub("\r"; "\\r")
  else error("\(type) is not valid in a tsv row") end] | join("\t");
"#;

/// Runs `program` over the JSON text `input`; gives a JSON array of all outputs.
///
/// # Errors
/// The program does not compile or raised an error, the input is not JSON, or the outputs are too large.
pub fn run(program: &[u8], input: &[u8]) -> Result<Vec<u8>, String> {
    let program = compiled(program)?;
    // The interpreter's reader takes more than JSON, and would follow any nesting down its stack.
    Value::from_json(input).map_err(|error| format!("the input is {error}"))?;
    let input = read::parse_single(input).map_err(|error| format!("the input is not JSON: {error}"))?;
    let mut out = vec![b'['];
    for output in program.id.run((Ctx::<JustLut<Val>>::new(&program.lut, Vars::new([])), input)) {
        let output = output.map_err(|raised| match raised.get_err() {
            Ok(error) => cut(&error.to_string()),
            Err(_) => String::from("the program breaks out of itself"),
        })?;
        if out.len() > 1 {
            out.push(b',');
        }
        write(&output, MAX_LEVELS, &mut out)?;
    }
    out.push(b']');
    Ok(out)
}

fn compiled(program: &[u8]) -> Kept {
    thread_local! {
        static STORE: RefCell<FxHashMap<Vec<u8>, Kept>> = RefCell::default();
    }
    if let Some(kept) = STORE.with_borrow(|store| store.get(program).cloned()) {
        return kept;
    }
    let new = compile(program).map(Rc::new);
    STORE.with_borrow_mut(|store| {
        if store.len() >= KEPT {
            store.clear();
        }
        store.insert(program.to_vec(), new.clone());
    });
    new
}

fn compile(program: &[u8]) -> Result<Program, String> {
    let code = std::str::from_utf8(program).map_err(|_| "the program is not valid UTF-8")?;
    if code.len() > MAX_PROGRAM {
        return Err(format!("the program is longer than {MAX_PROGRAM} bytes"));
    }
    if code.trim().is_empty() {
        return Err(String::from("the program is empty"));
    }
    let own = load::parse(PRELUDE, |parser| parser.defs()).unwrap_or_default();
    let taken_out = |name: &str| matches!(name, "env" | "halt" | "halt_error");
    let library = jaq_core::defs().chain(jaq_std::defs().filter(|def| !taken_out(def.name))).chain(jaq_json::defs());
    let natives = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let modules = Loader::new(library.chain(own)).load(&arena, File { code, path: () }).map_err(|errors| {
        cut(&errors.into_iter().map(|(_, error)| load_problem(error)).collect::<Vec<_>>().join("; "))
    })?;
    let natives = natives.filter(|(name, ..)| !taken_out(name));
    Compiler::default().with_funs(natives).compile(modules).map_err(|errors| {
        let unknown = errors.into_iter().flat_map(|(_, unknown)| unknown);
        let unknown = unknown.map(|(name, what)| match what {
            jaq_core::compile::Undefined::Filter(arity) => format!("there is no filter {name}/{arity}"),
            other => format!("there is no {} {name}", other.as_str()),
        });
        cut(&unknown.collect::<Vec<_>>().join("; "))
    })
}

fn load_problem(error: load::Error<&str>) -> String {
    let near = |rest: &str| if rest.is_empty() { String::from("the end") } else { format!("`{}`", cut_to(rest, 20)) };
    match error {
        load::Error::Io(files) => files
            .first()
            .map_or_else(String::new, |(name, _)| format!("module `{name}` cannot be read: there are none")),
        load::Error::Lex(errors) => errors
            .first()
            .map_or_else(String::new, |(expected, at)| format!("expected {} at {}", expected.as_str(), near(at))),
        load::Error::Parse(errors) => errors
            .first()
            .map_or_else(String::new, |(expected, at)| format!("expected {} at {}", expected.as_str(), near(at))),
    }
}

/// A message of a length that a log can take.
fn cut(text: &str) -> String {
    cut_to(text, 300)
}

fn cut_to(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

fn write(value: &Val, levels: usize, out: &mut Vec<u8>) -> Result<(), String> {
    if out.len() > MAX_OUTPUT {
        return Err(format!("the outputs are longer than {MAX_OUTPUT} bytes"));
    }
    let inner = levels.checked_sub(1).ok_or_else(|| format!("an output has more than {MAX_LEVELS} levels"));
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Val::Num(Num::Int(number)) => out.extend_from_slice(number.to_string().as_bytes()),
        Val::Num(Num::BigInt(number)) => out.extend_from_slice(number.to_string().as_bytes()),
        Val::Num(Num::Float(number)) => write_float(*number, out),
        // A literal that the program did not touch stays as it was written, unless it has an exponent.
        Val::Num(Num::Dec(literal)) if !literal.contains(['e', 'E']) => out.extend_from_slice(literal.as_bytes()),
        Val::Num(Num::Dec(literal)) => write_float(literal.parse().unwrap_or(f64::NAN), out),
        Val::TStr(text) | Val::BStr(text) => write_json_text(text, out),
        Val::Arr(items) => {
            let inner = inner?;
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, inner, out)?;
            }
            out.push(b']');
        }
        Val::Obj(entries) => {
            let inner = inner?;
            out.push(b'{');
            for (at, (key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                let (Val::TStr(key) | Val::BStr(key)) = key else {
                    return Err(String::from("a key of an object is not text"));
                };
                write_json_text(key, out);
                out.push(b':');
                write(value, inner, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// As jq prints doubles: whole ones without a point up to some size, NaN as null, infinities as the largest double.
fn write_float(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        out.extend_from_slice(b"null");
        return;
    }
    let number = number.clamp(f64::MIN, f64::MAX);
    let shortest = format!("{number:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() as i64;
    let point = exponent.parse::<i64>().unwrap_or(0) + 1;
    let plain = -4 < point && point <= digits + 15;
    out.extend_from_slice(if plain { number.to_string() } else { shortest }.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_and_errors() {
        for (program, input, expected) in [
            (".a,.b", r#"{"a":1,"b":2}"#, Ok("[1,2]")),
            (".items[] | .id", r#"{"items":[{"id":"x"},{"id":null}]}"#, Ok(r#"["x",null]"#)),
            ("empty", "1", Ok("[]")),
            (
                "1 + 1.5, 6 / 2, 1.0, 1e1000, nan, 1e17, 0.00001 + 0",
                "0",
                Ok("[2.5,3,1.0,1.7976931348623157e308,null,1e17,1e-5]"),
            ),
            ("12345678901234567890, .", "1.10", Ok("[12345678901234567890,1.10]")),
            ("to_entries", r#"{"b":1}"#, Ok(r#"[[{"key":"b","value":1}]]"#)),
            ("@csv, @tsv", r#"["a\"b",1,null,true]"#, Ok(r#"["\"a\"\"b\",1,,true","a\"b\t1\t\ttrue"]"#)),
            ("[tostream]", r#"{"a":[1]}"#, Ok(r#"[[[["a",0],1],[["a",0]],[["a"]]]]"#)),
            ("join(\",\"), ([] | join(\",\"))", r#"["a",null,1.5,true]"#, Ok(r#"["a,,1.5,true",""]"#)),
            ("IN(1,2), IN(.[]?; 3)", "2", Ok("[true,false]")),
            ("INDEX(.id)", r#"[{"id":1}]"#, Ok(r#"[{"1":{"id":1}}]"#)),
            ("env, $ENV?", "1", Err("$ENV")),
            ("env", "1", Ok("[{}]")),
            ("halt", "1", Err("halt is not allowed")),
            (".a", "1", Err("cannot index")),
            (". as [$x] | $y", "1", Err("there is no variable $y")),
            ("nofilter(1)", "1", Err("there is no filter nofilter/1")),
            ("{", "1", Err("expected")),
            ("include \"x\"; .", "1", Err("module `x`")),
            ("  ", "1", Err("empty")),
            (".", "{", Err("the input is")),
            (".", "# no JSON\n1", Err("the input is")),
            ("{(1): 2}", "1", Err("")),
            ("reduce range(200) as $i (null; [.])", "1", Err("more than 128 levels")),
            ("(\"x\" * 1000) as $x | [range(20000) | $x]", "1", Err("longer than")),
            ("1 | truncate_stream([[0], 1], [[1, 0], 2])", "1", Ok("[[[0],2]]")),
        ] {
            let answer = run(program.as_bytes(), input.as_bytes()).map(|out| String::from_utf8(out).expect("UTF-8"));
            match (&answer, expected) {
                (Ok(out), Ok(expected)) => assert_eq!(out, expected, "{program}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{program}: {error}"),
                _ => panic!("{program}: {answer:?}, expected {expected:?}"),
            }
        }
        assert!(run(b"\xFF", b"1").is_err_and(|error| error.contains("UTF-8")));
    }
}
