//! The tree made ready to run: names resolved to columns, functions found, payload paths collected so that one pass over
//! the payload answers them all. Reads no event; a plan is immutable and shared.

use std::fmt;

use bytes::Bytes;

use super::ast::{self, Arith, Callee, Compare, Expr, Kind, Sign, Statement};
use super::diagnostic::{Code, Diagnostic, Span};
use super::event::Column;
use super::functions::{self, Function};
use super::row::Name;
use super::{FunctionCatalog, FunctionId};
use crate::event::EventKind;
use crate::topic::TopicFilter;
use crate::value::Value;
use crate::value::scan::{Location, PathSet};

/// A compiled rule.
#[derive(Debug)]
pub struct Plan {
    pub(super) sources: Vec<Source>,
    pub(super) body: Body,
    pub(super) condition: Option<Node>,
    /// All payload paths of the plan, read in one pass.
    pub(super) payload: PathSet,
    /// Where each path of [`Node::Payload`] is found, by its number.
    pub(super) locations: Vec<Location>,
    /// Whether some part may need the whole decoded payload and not only the paths.
    pub(super) needs_document: bool,
    pub(super) warnings: Vec<Diagnostic>,
    births: bool,
}

/// One entry of `FROM`.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Publications to matching topics.
    Topic(TopicFilter),
    /// Events whose topics match, such as `$events/client/+`.
    Event(TopicFilter),
    /// `$sources/…` or `$bridges/…`, as written.
    Data(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Topic(filter) | Source::Event(filter) => fmt::Display::fmt(filter, f),
            Source::Data(name) => f.write_str(name),
        }
    }
}

impl Source {
    /// The kinds of events that this entry names; a name that nothing has is accepted and names none (rule-sql 2.1).
    pub fn events(&self) -> impl Iterator<Item = EventKind> + '_ {
        let entry = match self {
            Source::Event(entry) => Some(entry),
            Source::Topic(_) | Source::Data(_) => None,
        };
        entry.into_iter().flat_map(|entry| EventKind::ALL.iter().copied().filter(|kind| kind.is_named_by(entry)))
    }
}

impl Plan {
    /// The entries of `FROM`, in order, at least one.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The names that each row has; `None` if they depend on the event.
    #[must_use]
    pub fn output(&self) -> Option<Vec<String>> {
        let named = |fields: &[Field]| -> Vec<String> {
            let names = fields.iter().filter_map(|field| match field {
                Field::Expr { target, .. } => Some(String::from_utf8_lossy(&target.name.key).into_owned()),
                Field::Star => None,
            });
            names.collect()
        };
        let (fields, outer) = match &self.body {
            Body::Select(fields) => (Some(fields.as_slice()), Vec::new()),
            Body::Foreach(foreach) => {
                let mut outer = named(&foreach.helpers);
                outer.extend(named(std::slice::from_ref(&foreach.last)));
                if let Item::Default(name) | Item::Alias(name) = &foreach.item {
                    outer.push(String::from_utf8_lossy(&name.key).into_owned());
                }
                (foreach.each.as_deref(), outer)
            }
        };
        let mut names = fields.map(named).unwrap_or_default();
        if fields.is_none_or(|fields| fields.iter().any(|field| matches!(field, Field::Star))) {
            if self.sources.iter().any(|source| !matches!(source, Source::Topic(_))) {
                return None;
            }
            names.extend(outer);
            names.extend(Column::ALL.iter().map(|column| column.name().to_owned()));
        }
        Some(names)
    }

    /// Whether it calls `spb_decode`, which needs what [`super::learn_birth`] was shown.
    #[must_use]
    pub fn wants_births(&self) -> bool {
        self.births
    }

    /// What is suspicious about the rule, but no error in EMQX.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

#[derive(Debug)]
pub(super) enum Body {
    Select(Vec<Field>),
    Foreach(Box<Foreach>),
}

#[derive(Debug)]
pub(super) struct Foreach {
    pub helpers: Vec<Field>,
    pub last: Field,
    /// Whether the last field is the plain variable `payload`, whose JSON is then the collection.
    pub over_payload: bool,
    pub item: Item,
    pub each: Option<Vec<Field>>,
    /// What the fields of DO build anew for each element, each name once: those of dotted aliases.
    pub nested: Vec<Name>,
    pub incase: Option<Node>,
}

/// Under which name an element is visible.
#[derive(Debug)]
pub(super) enum Item {
    Default(Name),
    Alias(Name),
    /// A dotted alias names no element.
    None,
}

#[derive(Debug)]
pub(super) enum Field {
    Star,
    Expr { node: Node, target: Target },
}

/// Where a field's value is stored.
#[derive(Debug)]
pub(super) struct Target {
    pub name: Name,
    pub steps: Vec<Step>,
    /// Written with AS.
    pub explicit: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Key(Bytes),
    Index(i64),
    Head,
    Tail,
    Variable(Box<Path>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path {
    pub name: Name,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Node {
    Const(Value),
    Variable(Name),
    Path(Path),
    /// A path into the payload: its number, and the steps after `payload`.
    Payload {
        number: usize,
        steps: Vec<Step>,
    },
    Range(i64, i64),
    Slice(Box<Node>, i64, i64),
    List(Vec<Node>),
    Builtin(&'static Function, Vec<Node>),
    Plugin {
        id: FunctionId,
        name: String,
        args: Vec<Node>,
    },
    Attribute(Attribute, Vec<Node>),
    Negate(Box<Node>),
    /// Unary plus leaves its operand as it is, but is an expression of its own.
    Plus(Box<Node>),
    Arith(Arith, Box<Node>, Box<Node>),
    Compare(Compare, Box<Node>, Box<Node>),
    Case {
        subject: Option<Box<Node>>,
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    In(Box<Node>, Vec<Node>),
    /// Raises when evaluated, after its arguments.
    Raise(String, Vec<Node>),
}

/// The functions without a value of their own that read the event's columns (rule-sql 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Column(Column),
    Flags,
    Flag,
    TopicLevel,
    PayloadPath,
}

impl Attribute {
    pub(super) const NAMES: [(&'static str, &'static [usize]); 10] = [
        ("msgid", &[0]),
        ("qos", &[0]),
        ("topic", &[0, 1]),
        ("clientid", &[0]),
        ("username", &[0]),
        ("payload", &[0, 1]),
        ("flags", &[0]),
        ("flag", &[1]),
        ("peerhost", &[0]),
        ("clientip", &[0]),
    ];

    fn of(name: &str, args: usize) -> Option<Attribute> {
        Some(match (name, args) {
            ("msgid", 0) => Attribute::Column(Column::Id),
            ("qos", 0) => Attribute::Column(Column::Qos),
            ("topic", 0) => Attribute::Column(Column::Topic),
            ("topic", 1) => Attribute::TopicLevel,
            ("clientid", 0) => Attribute::Column(Column::ClientId),
            ("username", 0) => Attribute::Column(Column::Username),
            ("payload", 0) => Attribute::Column(Column::Payload),
            ("payload", 1) => Attribute::PayloadPath,
            ("flags", 0) => Attribute::Flags,
            ("flag", 1) => Attribute::Flag,
            ("peerhost" | "clientip", 0) => Attribute::Column(Column::PeerHost),
            _ => return None,
        })
    }
}

/// Resolves everything that can be resolved before the first event.
pub(super) fn plan(statement: &Statement, catalog: &dyn FunctionCatalog) -> Result<Plan, Vec<Diagnostic>> {
    let mut planner =
        Planner { catalog, paths: Vec::new(), needs_document: false, births: false, containers: 0, unnamed: 0 };
    let (sources, mut problems) = sources(&statement.sources);
    let body = match &statement.body {
        ast::Body::Select(fields) => Body::Select(planner.fields(fields)),
        ast::Body::Foreach { fields, each, incase } => planner.foreach(fields, each.as_deref(), incase.as_ref()),
    };
    let condition = statement.condition.as_ref().map(|condition| planner.node(condition));
    if planner.containers > MAX_CONTAINERS {
        let message = format!("more than {MAX_CONTAINERS} lists and parts of aliases");
        problems.push(Diagnostic::new(Code::Limit, 0..0, message));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let paths: Vec<Vec<&[u8]>> = planner.paths.iter().map(|path| path.iter().map(|key| &**key).collect()).collect();
    let payload = PathSet::new(true, paths.iter().map(Vec::as_slice));
    let nowhere = Location { slot: 0, keys: 0 };
    let locations = paths.iter().map(|path| payload.locate(path).unwrap_or(nowhere)).collect();
    let Planner { needs_document, births, .. } = planner;
    Ok(Plan { sources, body, condition, payload, locations, needs_document, warnings: Vec::new(), births })
}

/// Lists and alias steps of one rule: what it may nest deeper than its input.
const MAX_CONTAINERS: usize = 1024;

fn sources(written: &[(String, Span)]) -> (Vec<Source>, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut sources = Vec::new();
    for (text, span) in written {
        if ["$sources/", "$bridges/"].iter().any(|prefix| text.starts_with(prefix)) {
            sources.push(Source::Data(text.clone()));
            continue;
        }
        match TopicFilter::new(text) {
            Ok(filter) if text.starts_with("$events/") => sources.push(Source::Event(filter)),
            Ok(filter) => sources.push(Source::Topic(filter)),
            Err(error) => problems.push(Diagnostic::new(Code::Filter, span.clone(), error.to_string())),
        }
    }
    (sources, problems)
}

struct Planner<'a> {
    catalog: &'a dyn FunctionCatalog,
    /// The leading keys of each payload path.
    paths: Vec<Vec<Bytes>>,
    needs_document: bool,
    births: bool,
    containers: usize,
    unnamed: usize,
}

impl Planner<'_> {
    fn foreach(&mut self, fields: &[ast::Field], each: Option<&[ast::Field]>, incase: Option<&Expr>) -> Body {
        let mut helpers: Vec<Field> = fields.iter().map(|field| self.foreach_field(field)).collect();
        let last = helpers.pop().unwrap_or(Field::Star);
        let (over_payload, item) = match fields.last() {
            Some(ast::Field::Expr { expr, alias }) => {
                let over = matches!(&expr.kind, Kind::Path(path) if path.steps.is_empty() && path.name == "payload");
                (over, item(alias.as_ref()))
            }
            _ => (false, Item::None),
        };
        self.needs_document |= over_payload;
        let each = each.map(|fields| self.fields(fields));
        let incase = incase.map(|condition| self.node(condition));
        let mut nested: Vec<Name> = Vec::new();
        for field in each.iter().flatten() {
            if let Field::Expr { target, .. } = field
                && !target.steps.is_empty()
                && !nested.contains(&target.name)
            {
                nested.push(target.name.clone());
            }
        }
        Body::Foreach(Box::new(Foreach { helpers, last, over_payload, item, each, nested, incase }))
    }

    fn foreach_field(&mut self, field: &ast::Field) -> Field {
        match field {
            ast::Field::Star(_) => {
                let node = Node::Raise(String::from("`*` is no collection"), Vec::new());
                Field::Expr { node, target: Target { name: Name::new("*"), steps: Vec::new(), explicit: false } }
            }
            ast::Field::Expr { .. } => self.field(field),
        }
    }

    fn fields(&mut self, fields: &[ast::Field]) -> Vec<Field> {
        fields.iter().map(|field| self.field(field)).collect()
    }

    fn field(&mut self, field: &ast::Field) -> Field {
        let ast::Field::Expr { expr, alias } = field else { return Field::Star };
        let node = self.node(expr);
        let (node, target) = match (alias, &expr.kind) {
            (Some(Expr { kind: Kind::Path(path), .. }), _) => (node, Ok(self.target(path, true))),
            (Some(_), _) => (node, Err("a boolean cannot be an alias")),
            (None, Kind::Path(path) | Kind::Slice(path, ..)) => (node, Ok(self.target(path, false))),
            (None, Kind::Unary(..)) => (node, Err("a field that begins with a sign needs an alias (AS)")),
            (None, kind) => {
                self.unnamed += 1;
                let name = Name::new(&generated(kind, self.unnamed));
                (node, Ok(Target { name, steps: Vec::new(), explicit: false }))
            }
        };
        match target {
            Ok(target) => Field::Expr { node, target },
            Err(reason) => {
                let target = Target { name: Name::new(""), steps: Vec::new(), explicit: false };
                Field::Expr { node: Node::Raise(String::from(reason), vec![node]), target }
            }
        }
    }

    fn target(&mut self, path: &ast::Path, explicit: bool) -> Target {
        self.containers += path.steps.len();
        let Path { name, steps } = resolved(path);
        self.needs_document |= name.is_payload() && !steps.is_empty();
        Target { name, steps, explicit }
    }

    fn nodes(&mut self, exprs: &[Expr]) -> Vec<Node> {
        exprs.iter().map(|expr| self.node(expr)).collect()
    }

    fn boxed(&mut self, expr: &Expr) -> Box<Node> {
        Box::new(self.node(expr))
    }

    fn node(&mut self, expr: &Expr) -> Node {
        match &expr.kind {
            Kind::Const(value) => Node::Const(value.clone()),
            Kind::Path(path) => self.path(path),
            Kind::Range(from, to) => Node::Range(*from, *to),
            Kind::Slice(path, from, to) => Node::Slice(Box::new(self.path(path)), *from, *to),
            Kind::List(items) => {
                self.containers += 1;
                Node::List(self.nodes(items))
            }
            Kind::Call(callee, args) => self.call(callee, args),
            Kind::Unary(Sign::Plus, operand) => Node::Plus(self.boxed(operand)),
            Kind::Unary(Sign::Minus, operand) => match self.node(operand) {
                Node::Const(Value::Int(number)) if number != i64::MIN => Node::Const(Value::Int(-number)),
                Node::Const(Value::Float(number)) => Node::Const(Value::Float(-number)),
                node => Node::Negate(Box::new(node)),
            },
            Kind::Arith(operator, left, right) => Node::Arith(*operator, self.boxed(left), self.boxed(right)),
            Kind::Compare(compare, left, right) => Node::Compare(*compare, self.boxed(left), self.boxed(right)),
            Kind::Case(case) => Node::Case {
                subject: case.subject.as_ref().map(|subject| self.boxed(subject)),
                branches: case.branches.iter().map(|(when, then)| (self.node(when), self.node(then))).collect(),
                otherwise: case.otherwise.as_ref().map(|otherwise| self.boxed(otherwise)),
            },
            Kind::And(operands) => Node::And(self.nodes(operands)),
            Kind::Or(operands) => Node::Or(self.nodes(operands)),
            Kind::Not(operand) => Node::Not(self.boxed(operand)),
            Kind::In(value, items) => Node::In(self.boxed(value), self.nodes(items)),
            Kind::Raise(reason) => Node::Raise(String::from(*reason), Vec::new()),
        }
    }

    fn path(&mut self, path: &ast::Path) -> Node {
        let Path { name, steps } = resolved(path);
        if steps.is_empty() {
            return Node::Variable(name);
        }
        if !name.is_payload() {
            return Node::Path(Path { name, steps });
        }
        let keys: Vec<Bytes> = steps
            .iter()
            .map_while(|step| match step {
                Step::Key(key) => Some(key.clone()),
                _ => None,
            })
            .collect();
        // An index that is a name is looked up in the payload itself.
        self.needs_document |= steps.iter().any(|step| matches!(step, Step::Variable(_)));
        let number = self.paths.iter().position(|known| *known == keys).unwrap_or_else(|| {
            self.paths.push(keys);
            self.paths.len() - 1
        });
        Node::Payload { number, steps }
    }

    fn call(&mut self, callee: &Callee, args: &[Expr]) -> Node {
        let nodes = self.nodes(args);
        let name = match callee {
            Callee::Name(name) => name,
            Callee::Qualified(path) => return Node::Raise(unknown_module(path), nodes),
        };
        if let Some(attribute) = Attribute::of(name, nodes.len()) {
            return Node::Attribute(attribute, nodes);
        }
        if let Some(function) = functions::lookup(name) {
            self.births |= name == "spb_decode";
            return Node::Builtin(function, nodes);
        }
        let operator = match name.as_str() {
            "div" => Some(Arith::IntegerDivide),
            "mod" => Some(Arith::Remainder),
            _ => None,
        };
        if let (Some(operator), Ok([left, right])) = (operator, <[Node; 2]>::try_from(nodes)) {
            return Node::Arith(operator, Box::new(left), Box::new(right));
        }
        let nodes = self.nodes(args);
        match self.catalog.resolve(name) {
            Some(id) => Node::Plugin { id, name: name.clone(), args: nodes },
            None if Attribute::NAMES.iter().any(|(known, _)| known == name) => {
                Node::Raise(wrong_arity(name, args.len()), nodes)
            }
            None => Node::Raise(unknown_function(name), nodes),
        }
    }
}

/// The complaint about a name that no function has, with the nearest one that there is.
pub(super) fn unknown_function(name: &str) -> String {
    let known = functions::names().chain(Attribute::NAMES.iter().map(|(name, _)| *name));
    match super::diagnostic::nearest(name, known) {
        Some(near) => format!("there is no function `{name}` (sql_function_not_supported); did you mean `{near}`?"),
        None => format!("there is no function `{name}` (sql_function_not_supported)"),
    }
}

/// The complaint about a function of the event's columns that is called with so many arguments.
pub(super) fn wrong_arity(name: &str, arguments: usize) -> String {
    format!("`{name}` does not take {arguments} arguments")
}

fn unknown_module(path: &ast::Path) -> String {
    match path.steps.as_slice() {
        [ast::Step::Key(function)] => {
            let allowed = ["emqx_rule_funcs", "EmqxRuleFuncs"].iter().any(|prefix| path.name.starts_with(prefix));
            let reason = if allowed { "module_not_loaded" } else { "module_not_allowed" };
            format!("`{}.{function}` cannot be called (sql_function_provider_{reason})", path.name)
        }
        _ => String::from("a function has a plain name or `module.function` (bad_sql_function_reference)"),
    }
}

fn resolved(path: &ast::Path) -> Path {
    let steps = path.steps.iter().map(|step| match step {
        ast::Step::Key(key) => Step::Key(Bytes::copy_from_slice(key.as_bytes())),
        ast::Step::Index(index) => Step::Index(*index),
        ast::Step::Head => Step::Head,
        ast::Step::Tail => Step::Tail,
        ast::Step::Variable(inner) => Step::Variable(Box::new(resolved(inner))),
    });
    Path { name: Name::new(&path.name), steps: steps.collect() }
}

fn item(alias: Option<&Expr>) -> Item {
    match alias.map(|alias| &alias.kind) {
        None => Item::Default(Name::new("item")),
        Some(Kind::Path(path)) if path.steps.is_empty() => Item::Alias(Name::new(&path.name)),
        Some(_) => Item::None,
    }
}

/// The output name of a field without an alias; EMQX ends it with a clock, we with the field's number (rule-sql 2.6).
fn generated(kind: &Kind, number: usize) -> String {
    let detail = match kind {
        Kind::Const(Value::Str(text)) => return String::from_utf8_lossy(text).into_owned(),
        Kind::Const(value) => {
            let text = value.text().unwrap_or_default();
            format!("const_{}", String::from_utf8_lossy(&text))
        }
        Kind::List(items) => format!("list_{}", items.len()),
        Kind::Range(from, to) => format!("range_{from}..{to}"),
        Kind::Arith(operator, ..) => format!("op_'{}'", operator.symbol()),
        Kind::Compare(compare, ..) => format!("op_'{}'", compare.symbol()),
        Kind::Call(Callee::Name(name), _) => format!("fun_{{var,<<\"{name}\">>}}"),
        Kind::Call(Callee::Qualified(_), _) => String::from("fun_path"),
        Kind::Case(_) => String::from("case_when"),
        _ => String::from("op"),
    };
    format!("_v_{detail}_{number}")
}
