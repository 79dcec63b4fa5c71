//! What the macros call: it holds the plugin's one instance and walks through a batch.

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::bindings::flat::exports::millstream::plugin::plugin_flat::{Messages, Outcomes};
use crate::bindings::function::exports::millstream::plugin::functions as wire;
use crate::codec::{Answer, Batch, Edit};
use crate::function::{Functions, Value};
use crate::message::Message;
use crate::{Error, Plugin};

/// Where an instance is kept between calls. A component has one thread.
pub type Slot<P> = LocalKey<RefCell<Option<P>>>;

pub fn init<P: Plugin>(slot: &'static Slot<P>, config: &str) -> Result<(), String> {
    let plugin = read_config(config).and_then(P::new).map_err(Error::into_text)?;
    slot.set(Some(plugin));
    Ok(())
}

pub fn transform<P: Plugin>(slot: &'static Slot<P>, batch: &Messages) -> Outcomes {
    slot.with_borrow_mut(|plugin| {
        // The host calls `init` first; without it there is nothing to run, and a trap says so.
        let Some(plugin) = plugin else { panic!("transform was called before init") };
        let answer = walk(plugin, Batch::new(&batch.arena, &batch.words));
        Outcomes { arena: answer.arena, words: answer.words }
    })
}

/// One outcome for each message of the batch.
pub(crate) fn walk<P: Plugin>(plugin: &mut P, batch: Batch<'_>) -> Answer {
    let mut answer = Answer { arena: Vec::with_capacity(64 * batch.len()), words: Vec::with_capacity(8 * batch.len()) };
    let mut edit = Edit::default();
    for index in 0..batch.len() {
        let mut message = Message::new(batch.row(index), &mut answer, &mut edit);
        let outcome = plugin.transform(&mut message);
        message.finish(outcome);
    }
    answer
}

pub fn init_functions<P: Functions>(slot: &'static Slot<P>, config: &str) -> Result<(), String> {
    let plugin = read_config(config).and_then(P::new).map_err(Error::into_text)?;
    slot.set(Some(plugin));
    Ok(())
}

pub fn signatures<P: Functions>() -> Vec<wire::Signature> {
    let signature = |function: &crate::Function<P>| wire::Signature {
        name: function.name.to_owned(),
        min_args: *function.args.start(),
        max_args: *function.args.end(),
        summary: function.summary.to_owned(),
    };
    P::ALL.iter().map(signature).collect()
}

pub fn call<P: Functions>(slot: &'static Slot<P>, index: u32, args: Vec<wire::Value>) -> Result<wire::Value, String> {
    slot.with_borrow_mut(|plugin| {
        let Some(plugin) = plugin else { panic!("call was called before init") };
        let function = P::ALL.get(index as usize).ok_or_else(|| format!("there is no function {index}"))?;
        let args = args.into_iter().map(Value::from_wire).collect::<Result<Vec<_>, _>>().map_err(Error::into_text)?;
        (function.call)(plugin, &args).map(Value::into_wire).map_err(Error::into_text)
    })
}

fn read_config<C: serde::de::DeserializeOwned>(config: &str) -> Result<C, Error> {
    serde_json::from_str(config).map_err(|e| Error::new(format!("config: {e}")))
}
