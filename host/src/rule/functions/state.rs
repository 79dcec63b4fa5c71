//! What rules keep between messages, and what the node's environment tells them.
//!
//! Keys are strict: 1, 1.0 and '1' are three. Keys and values are kept as Erlang terms, so that a kept value holds no
//! message in memory and its size is what it counts for.

use super::args::bytes;
use super::term_codec::{decode, encode};
use super::{Fault, Function};
use crate::rule::{Memory, World};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::with_world(
        2..=2,
        "kv_store_put(key, any) -> bool",
        "Keeps a value under a key for all rules of this node, as long as its process runs. True, or it raises when the \
         store is full.",
        &[("kv_store_put('a', 1)", "true"), ("kv_store_put('a')", "!")],
        |world, args| put(world, Memory::Node, &args[0], &args[1]).map(|_| Value::Bool(true)),
    ),
    Function::with_world(
        1..=2,
        "kv_store_get(key[, default]) -> any",
        "The value that is kept under the key for all rules of this node; otherwise the default, or undefined.",
        &[
            ("kv_store_get('nothing')", r#""undefined""#),
            ("kv_store_get('nothing', 7)", "7"),
            (
                "[kv_store_put(1, [1.5, 'x', nope]), kv_store_get(1), kv_store_get(1.0), kv_store_get('1')]",
                r#"[true,[1.5,"x","undefined"],"undefined","undefined"]"#,
            ),
        ],
        |world, args| {
            Ok(get(world, Memory::Node, &args[0])?.unwrap_or_else(|| args.get(1).cloned().unwrap_or_default()))
        },
    ),
    Function::with_world(
        1..=1,
        "kv_store_del(key) -> bool",
        "Forgets what is kept under the key for all rules of this node. Always true.",
        &[("[kv_store_put('a', 1), kv_store_del('a'), kv_store_get('a')]", r#"[true,true,"undefined"]"#)],
        |world, args| forget(world, Memory::Node, &args[0]).map(|_| Value::Bool(true)),
    ),
    Function::with_world(
        2..=2,
        "proc_dict_put(key, any) -> any",
        "Keeps a value as long as the connection of the client whose message this is. Gives the one before, or undefined.",
        &[
            ("proc_dict_put('a', 1)", r#""undefined""#),
            ("[proc_dict_put('a', 1), proc_dict_put('a', 2)]", r#"["undefined",1]"#),
        ],
        |world, args| put(world, Memory::Connection, &args[0], &args[1]),
    ),
    Function::with_world(
        1..=1,
        "proc_dict_get(key) -> any",
        "The value that is kept for this client's connection, or undefined.",
        &[("[proc_dict_put('a', 1), proc_dict_get('a'), kv_store_get('a')]", r#"["undefined",1,"undefined"]"#)],
        |world, args| Ok(get(world, Memory::Connection, &args[0])?.unwrap_or_default()),
    ),
    Function::with_world(
        1..=1,
        "proc_dict_del(key) -> any",
        "Forgets what is kept for this client's connection, and gives it.",
        &[("[proc_dict_put('a', 1), proc_dict_del('a'), proc_dict_del('a')]", r#"["undefined",1,"undefined"]"#)],
        |world, args| forget(world, Memory::Connection, &args[0]),
    ),
    Function::with_world(
        1..=1,
        "getenv(name) -> text",
        "The environment variable EMQXVAR_ with this name, as it was when the process started; '' if there was none.",
        &[("getenv('SITE')", r#""plant-7""#), ("getenv('PATH')", r#""""#), ("getenv(1)", "!")],
        |world, args| Ok(Value::Str(world.variable(bytes(args, 0)?).unwrap_or_default())),
    ),
];

fn get(world: &dyn World, memory: Memory, key: &Value) -> Result<Option<Value>, Fault> {
    world.recall(memory, &encode(key)?).map(|kept| decode(&kept)).transpose()
}

fn put(world: &dyn World, memory: Memory, key: &Value, value: &Value) -> Result<Value, Fault> {
    let before = world.remember(memory, &encode(key)?, Some(&encode(value)?)).map_err(Fault::failed)?;
    before.map_or(Ok(Value::Undefined), |kept| decode(&kept))
}

fn forget(world: &dyn World, memory: Memory, key: &Value) -> Result<Value, Fault> {
    let before = world.remember(memory, &encode(key)?, None).map_err(Fault::failed)?;
    before.map_or(Ok(Value::Undefined), |kept| decode(&kept))
}
