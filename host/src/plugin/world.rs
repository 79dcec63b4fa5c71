//! The published worlds: bindings, and the check that a component is one of them.
//!
//! One inner module per world and version. A mismatch is told exactly: what is missing or has another type, and what the
//! world asks for.

use std::fmt::Write;

use wasmtime::component::types::{self, ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, ComponentNamedList, HasSelf, InstancePre, Lift, Linker, Lower};

use super::capability::logging::Level;
use super::error::PluginError;
use super::store::State;

/// The plain transform world, version 0.1.0.
pub(super) mod plain {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "transform",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The flat transform world, version 0.1.0.
pub(super) mod flat {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "transform-flat",
        with: { "millstream:plugin/host": super::plain::millstream::plugin::host },
    });
}

/// The function world, version 0.1.0.
pub(super) mod function {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "function",
        with: { "millstream:plugin/host": super::plain::millstream::plugin::host },
    });
}

/// What a plugin is, by the world that it was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    TransformPlain,
    TransformFlat,
    Function,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::TransformPlain, Kind::TransformFlat, Kind::Function];

    /// The world's name in `wit/`.
    #[must_use]
    pub fn world(self) -> &'static str {
        match self {
            Kind::TransformPlain => "millstream:plugin/transform@0.1.0",
            Kind::TransformFlat => "millstream:plugin/transform-flat@0.1.0",
            Kind::Function => "millstream:plugin/function@0.1.0",
        }
    }

    /// In a sentence: "this plugin is a ...".
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Kind::TransformPlain | Kind::TransformFlat => "transform",
            Kind::Function => "function plugin",
        }
    }

    fn interface(self) -> &'static str {
        match self {
            Kind::TransformPlain => "millstream:plugin/plugin@0.1.0",
            Kind::TransformFlat => "millstream:plugin/plugin-flat@0.1.0",
            Kind::Function => "millstream:plugin/functions@0.1.0",
        }
    }

    /// Name and type of each function, as in `wit/`.
    fn asks(self) -> &'static [(&'static str, &'static str)] {
        const INIT: (&str, &str) = ("init", "func(config: string) -> result<_, string>");
        match self {
            Kind::TransformPlain => &[INIT, ("transform", "func(batch: list<message>) -> list<outcome>")],
            Kind::TransformFlat => &[INIT, ("transform", "func(batch: messages) -> outcomes")],
            Kind::Function => &[
                INIT,
                ("signatures", "func() -> list<signature>"),
                ("call", "func(index: u32, args: list<value>) -> result<value, string>"),
            ],
        }
    }
}

/// A checked component, linked and ready to be instantiated.
pub(super) enum Linked {
    Plain(plain::TransformPre<State>),
    Flat(flat::TransformFlatPre<State>),
    Function(function::FunctionPre<State>),
}

/// Links what the host gives to all worlds.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    plain::millstream::plugin::host::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl plain::millstream::plugin::host::Host for State {
    fn log(&mut self, level: plain::millstream::plugin::host::Level, message: String) {
        use plain::millstream::plugin::host::Level as Wire;
        let level = match level {
            Wire::Trace => Level::Trace,
            Wire::Debug => Level::Debug,
            Wire::Info => Level::Info,
            Wire::Warn => Level::Warn,
            Wire::Error => Level::Error,
        };
        self.log.write(level, &message);
    }
}

/// Which world a component is for, and that it fits it; then links it.
pub(super) fn link(linker: &Linker<State>, component: &Component) -> Result<(Kind, Linked), PluginError> {
    let kind = recognise(component)?;
    check_exports(component, kind)?;
    let pre = linker.instantiate_pre(component).map_err(|error| unmet_imports(component, &error))?;
    let linked =
        bind(kind, pre).map_err(|e| PluginError::WorldMismatch(format!("the component does not fit: {e:#}")))?;
    Ok((kind, linked))
}

fn bind(kind: Kind, pre: InstancePre<State>) -> wasmtime::Result<Linked> {
    Ok(match kind {
        Kind::TransformPlain => Linked::Plain(plain::TransformPre::new(pre)?),
        Kind::TransformFlat => Linked::Flat(flat::TransformFlatPre::new(pre)?),
        Kind::Function => Linked::Function(function::FunctionPre::new(pre)?),
    })
}

/// Names of what a component exports; `imports` likewise.
pub(super) fn exports(component: &Component) -> Vec<String> {
    component.component_type().exports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

pub(super) fn imports(component: &Component) -> Vec<String> {
    component.component_type().imports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

fn recognise(component: &Component) -> Result<Kind, PluginError> {
    let exports = exports(component);
    let found: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| exports.iter().any(|name| name == kind.interface())).collect();
    match found[..] {
        [kind] => Ok(kind),
        [] => Err(PluginError::WorldMismatch(format!(
            "the component exports no interface of this host. It exports: {}.\nA plugin exports one of:\n{}",
            listed(&exports),
            worlds(&Kind::ALL)
        ))),
        _ => Err(PluginError::WorldMismatch(format!(
            "the component exports several interfaces of this host; a plugin exports exactly one. It exports:\n{}",
            worlds(&found)
        ))),
    }
}

fn check_exports(component: &Component, kind: Kind) -> Result<(), PluginError> {
    let ty = component.component_type();
    let engine = component.engine();
    let Some(ComponentItem::ComponentInstance(instance)) =
        ty.get_export(engine, kind.interface()).map(|export| export.ty)
    else {
        return Err(PluginError::WorldMismatch(format!("`{}` is not an interface", kind.interface())));
    };
    let mut problems = String::new();
    for (name, asked) in kind.asks() {
        let problem = match instance.get_export(engine, name).map(|export| export.ty) {
            None => Some("is missing".to_owned()),
            Some(ComponentItem::ComponentFunc(function)) => typecheck(kind, name, &function, &ty)
                .err()
                .map(|e| format!("has the type `{}` ({e:#})", render(&function))),
            Some(_) => Some("is not a function".to_owned()),
        };
        if let Some(problem) = problem {
            // Writing to a String cannot fail.
            let _ = write!(problems, "\n  `{name}` {problem}; asked for: `{name}: {asked}`");
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(PluginError::WorldMismatch(format!(
        "`{}` does not fit:{problems}\nThe world asks:\n{}",
        kind.interface(),
        worlds(&[kind])
    )))
}

fn typecheck(kind: Kind, name: &str, function: &ComponentFunc, component: &types::Component) -> wasmtime::Result<()> {
    use flat::exports::millstream::plugin::plugin_flat as flat;
    use function::exports::millstream::plugin::functions as fun;
    use plain::exports::millstream::plugin::plugin as plain;
    fn check<P, R>(function: &ComponentFunc, component: &types::Component) -> wasmtime::Result<()>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        function.typecheck::<P, R>(&component.instance_type())
    }
    match (kind, name) {
        (_, "init") => check::<(&str,), (Result<(), String>,)>(function, component),
        (Kind::TransformPlain, _) => check::<(&[plain::Message<'_>],), (Vec<plain::Outcome>,)>(function, component),
        (Kind::TransformFlat, _) => check::<(&flat::Messages,), (flat::Outcomes,)>(function, component),
        (Kind::Function, "signatures") => check::<(), (Vec<fun::Signature>,)>(function, component),
        (Kind::Function, _) => check::<(u32, &[fun::Value]), (Result<fun::Value, String>,)>(function, component),
    }
}

fn unmet_imports(component: &Component, error: &wasmtime::Error) -> PluginError {
    // The engine stops at the first; the names say all.
    let given = |name: &String| name.starts_with("millstream:plugin/") || is_wasi_p2(name);
    let foreign: Vec<String> = imports(component).into_iter().filter(|name| !given(name)).collect();
    let which = if foreign.is_empty() { String::new() } else { format!("\nNot granted here: {}.", listed(&foreign)) };
    PluginError::WorldMismatch(format!(
        "the component asks for something that this host does not give: {error:#}.{which}\nA plugin may import \
         millstream:plugin/host@0.1.0 (`log`) and WASI 0.2 (wasi:io, wasi:clocks, wasi:random, wasi:cli, wasi:filesystem and \
         wasi:sockets, all empty except clocks, randomness, stdout and stderr)"
    ))
}

fn is_wasi_p2(name: &str) -> bool {
    let package = ["wasi:io/", "wasi:clocks/", "wasi:random/", "wasi:cli/", "wasi:filesystem/", "wasi:sockets/"];
    package.iter().any(|package| name.starts_with(package)) && name.contains("@0.2.")
}

fn worlds(kinds: &[Kind]) -> String {
    let mut text = String::new();
    for kind in kinds {
        let _ = write!(text, "  {} (world {})", kind.interface(), kind.world());
        for (name, asked) in kind.asks() {
            let _ = write!(text, "\n    {name}: {asked}");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

fn render(function: &ComponentFunc) -> String {
    let params: Vec<String> = function.params().map(|(name, ty)| format!("{name}: {}", render_type(&ty))).collect();
    let result = function.results().next().map(|ty| format!(" -> {}", render_type(&ty))).unwrap_or_default();
    format!("func({}){result}", params.join(", "))
}

fn render_type(ty: &Type) -> String {
    let optional = |ty: Option<Type>| ty.map_or_else(|| "_".into(), |ty| render_type(&ty));
    match ty {
        Type::Bool => "bool".into(),
        Type::S8 => "s8".into(),
        Type::U8 => "u8".into(),
        Type::S16 => "s16".into(),
        Type::U16 => "u16".into(),
        Type::S32 => "s32".into(),
        Type::U32 => "u32".into(),
        Type::S64 => "s64".into(),
        Type::U64 => "u64".into(),
        Type::Float32 => "f32".into(),
        Type::Float64 => "f64".into(),
        Type::Char => "char".into(),
        Type::String => "string".into(),
        Type::List(list) => format!("list<{}>", render_type(&list.ty())),
        Type::Option(option) => format!("option<{}>", render_type(&option.ty())),
        Type::Result(result) => format!("result<{}, {}>", optional(result.ok()), optional(result.err())),
        Type::Tuple(tuple) => {
            let types: Vec<String> = tuple.types().map(|ty| render_type(&ty)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        Type::Record(record) => {
            let fields: Vec<String> =
                record.fields().map(|field| format!("{}: {}", field.name, render_type(&field.ty))).collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        Type::Variant(variant) => {
            let cases: Vec<String> = variant
                .cases()
                .map(|case| {
                    case.ty.map_or_else(|| case.name.to_owned(), |ty| format!("{}({})", case.name, render_type(&ty)))
                })
                .collect();
            format!("variant {{ {} }}", cases.join(", "))
        }
        Type::Enum(cases) => format!("enum {{ {} }}", cases.names().collect::<Vec<_>>().join(", ")),
        Type::Flags(flags) => format!("flags {{ {} }}", flags.names().collect::<Vec<_>>().join(", ")),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests;
