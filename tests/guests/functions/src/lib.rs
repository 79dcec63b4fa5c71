//! Functions of every shape: values through and back, errors, a trap, a count of calls.

use millstream_sdk::{Error, Function, Functions, Value};

struct Guest {
    config: serde_json::Value,
}

impl Functions for Guest {
    type Config = serde_json::Value;

    const ALL: &'static [Function<Guest>] = &[
        Function { name: "g_echo", args: 1..=1, summary: "g_echo(x): x", call: |_, args| Ok(args[0].clone()) },
        Function {
            name: "g_add",
            args: 1..=16,
            summary: "g_add(x, ...): the sum of all numbers",
            call: |_, args| {
                let numbers: Option<Vec<f64>> = args.iter().map(Value::number).collect();
                Ok(Value::Float(numbers.ok_or_else(|| Error::new("g_add wants numbers"))?.iter().sum()))
            },
        },
        Function {
            name: "g_config",
            args: 0..=0,
            summary: "g_config(): the configuration",
            call: |guest, _| Ok(Value::Json(guest.config.clone())),
        },
        Function { name: "g_trap", args: 0..=0, summary: "g_trap(): never", call: |_, _| panic!("g_trap was called") },
    ];

    fn new(config: serde_json::Value) -> Result<Guest, Error> {
        Ok(Guest { config })
    }
}

millstream_sdk::functions!(Guest);
