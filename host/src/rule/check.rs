//! Warnings: what a rule says that surely fails or never holds, though EMQX accepts it. Never keeps a rule from running.

use super::FunctionCatalog;
use super::ast::{Body, Callee, Compare, Expr, Field, Kind, Path, Statement};
use super::diagnostic::{Code, Diagnostic, nearest};
use super::event::is_column;
use super::functions;
use super::plan::{Attribute, unknown_function, wrong_arity};
use crate::value::Value;

mod names;
mod never;

/// At most this many warnings of one rule.
const MAX_WARNINGS: usize = 20;

pub(super) fn check(statement: &Statement, catalog: &dyn FunctionCatalog) -> Vec<Diagnostic> {
    let mut checker = Checker { catalog, warnings: Vec::new() };
    match &statement.body {
        Body::Select(fields) => checker.fields(fields),
        Body::Foreach { fields, each, incase } => {
            checker.fields(fields);
            checker.fields(each.as_deref().unwrap_or_default());
            checker.condition(incase.as_ref());
        }
    }
    checker.condition(statement.condition.as_ref());
    never::sources(statement, &mut checker.warnings);
    never::comparisons(statement, &mut checker.warnings);
    names::unknown(statement, &mut checker.warnings);
    checker.warnings.sort_by_key(|warning| warning.span.start);
    checker.warnings.truncate(MAX_WARNINGS);
    checker.warnings
}

struct Checker<'a> {
    catalog: &'a dyn FunctionCatalog,
    warnings: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn warn(&mut self, code: Code, at: &Expr, message: impl Into<String>, hint: &str) {
        self.warnings.push(Diagnostic::new(code, at.span.clone(), message).with_hint(hint));
    }

    fn fields(&mut self, fields: &[Field]) {
        for field in fields {
            let Field::Expr { expr, alias } = field else { continue };
            self.value(expr);
            if let Some(alias @ Expr { kind: Kind::Raise(reason), .. }) = alias {
                self.warn(Code::AlwaysRaises, alias, *reason, "put a name that is a reserved word in double quotes");
            }
            if alias.is_none() && matches!(expr.kind, Kind::Unary(..)) {
                self.warn(
                    Code::AlwaysRaises,
                    expr,
                    "a field that begins with a sign has no name",
                    "give it one with AS",
                );
            }
        }
    }

    /// WHERE and INCASE, in which the message attribute functions are blind.
    fn condition(&mut self, condition: Option<&Expr>) {
        if let Some(condition) = condition {
            self.truth(condition);
            self.blind(condition);
        }
    }

    fn truth(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::And(operands) | Kind::Or(operands) => operands.iter().for_each(|operand| self.truth(operand)),
            Kind::Not(operand) => match operand.kind {
                Kind::And(_) | Kind::Or(_) | Kind::Not(_) => {
                    let hint = "negate each comparison instead: `a != 1 AND b != 2`";
                    self.warn(
                        Code::AlwaysRaises,
                        expr,
                        "NOT cannot negate AND, OR or NOT; this raises for every message",
                        hint,
                    );
                }
                Kind::In(..) => {
                    let hint = "compare one by one: `x != 1 AND x != 2`, or NOT contains(x, [1, 2])";
                    self.warn(Code::AlwaysRaises, expr, "NOT IN raises for every message", hint);
                }
                _ => self.value(operand),
            },
            Kind::Path(path)
                if path.steps.is_empty() && ["TRUE", "FALSE"].contains(&path.name.to_ascii_uppercase().as_str()) =>
            {
                let hint = "booleans are written in lower case";
                self.warn(Code::AlwaysRaises, expr, format!("`{}` is a variable here", path.name), hint);
            }
            Kind::Path(_) | Kind::Slice(..) | Kind::Arith(..) | Kind::Unary(..) | Kind::List(_) | Kind::Range(..) => {
                let hint = "compare it, such as `payload.flag = true`";
                self.warn(
                    Code::AlwaysRaises,
                    expr,
                    "a value alone is no condition; this raises for every message",
                    hint,
                );
            }
            Kind::Const(Value::Bool(_)) => {}
            Kind::Const(_) => {
                let hint = "compare it with something";
                self.warn(
                    Code::AlwaysRaises,
                    expr,
                    "a constant alone is no condition; this raises for every message",
                    hint,
                );
            }
            _ => self.value(expr),
        }
    }

    fn value(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Const(_) | Kind::Path(_) | Kind::Range(..) | Kind::Slice(..) => {}
            Kind::Raise(reason) => self.warn(Code::AlwaysRaises, expr, *reason, "take it out"),
            Kind::Unary(_, operand) => self.value(operand),
            Kind::Not(operand) => self.truth(operand),
            Kind::List(items) | Kind::And(items) | Kind::Or(items) => items.iter().for_each(|item| self.value(item)),
            Kind::Arith(_, left, right) => {
                self.value(left);
                self.value(right);
            }
            Kind::Compare(compare, left, right) => self.comparison(expr, *compare, left, right),
            Kind::In(value, items) => {
                self.value(value);
                items.iter().for_each(|item| self.value(item));
            }
            Kind::Case(case) => {
                for (when, then) in &case.branches {
                    match case.subject {
                        Some(_) => self.value(when),
                        None => self.truth(when),
                    }
                    self.value(then);
                }
                case.subject.iter().chain(&case.otherwise).for_each(|part| self.value(part));
            }
            Kind::Call(callee, args) => {
                args.iter().for_each(|arg| self.value(arg));
                self.call(expr, callee, args.len());
                if let (Callee::Name(name), Some(schema)) = (callee, args.first()) {
                    self.schema(name, schema);
                }
            }
        }
    }

    fn comparison(&mut self, expr: &Expr, compare: Compare, left: &Expr, right: &Expr) {
        for side in [left, right] {
            self.value(side);
            let Kind::Path(Path { name, quoted, steps }) = &side.kind else { continue };
            if steps.is_empty() && *quoted && !is_column(name) && *name != "item" {
                let message = format!("\"{name}\" is the variable of that name, not a text");
                self.warn(Code::UnknownName, side, message, &format!("a text stands in single quotes: '{name}'"));
            }
            if steps.is_empty() && !quoted && name.eq_ignore_ascii_case("null") {
                let hint = "use is_null(x), or is_null_var(x) for JSON's null too";
                self.warn(Code::NeverTrue, side, format!("`{name}` is a variable that nothing sets"), hint);
            }
        }
        if compare == Compare::Unsupported {
            self.warn(Code::AlwaysRaises, expr, "`~=` raises for every message", "a topic matches a filter with `=~`");
        }
    }

    fn call(&mut self, expr: &Expr, callee: &Callee, args: usize) {
        let Callee::Name(name) = callee else {
            return self.warn(
                Code::UnknownFunction,
                expr,
                "functions of modules cannot be called",
                "use a plugin function",
            );
        };
        let by_column = Attribute::NAMES.iter().find(|(known, _)| known == name);
        if by_column.is_some_and(|(_, arities)| arities.contains(&args))
            || (matches!(name.as_str(), "div" | "mod") && args == 2)
        {
            return;
        }
        match functions::lookup(name) {
            Some(function) if (function.min_args..=function.max_args).contains(&args) => {}
            Some(function) => {
                let most = if function.max_args == usize::MAX {
                    String::from("or more")
                } else {
                    format!("to {}", function.max_args)
                };
                let message = format!("`{name}` takes {} {most} arguments, not {args}", function.min_args);
                self.warn(Code::Arity, expr, message, "this raises for every message");
            }
            None if by_column.is_some() => {
                self.warn(Code::Arity, expr, wrong_arity(name, args), "this raises for every message");
            }
            None if self.catalog.resolve(name).is_some() => {}
            None => self.warn(Code::UnknownFunction, expr, unknown_function(name), "this raises for every message"),
        }
    }

    /// Warns of a schema that there is not, where it is called by its name.
    fn schema(&mut self, function: &str, argument: &Expr) {
        let by_name = ["schema_encode", "schema_decode", "schema_check", "schema_encode_and_tag"].contains(&function);
        let (true, Kind::Const(Value::Str(name)), Some(known)) = (by_name, &argument.kind, self.catalog.schemas())
        else {
            return;
        };
        let name = String::from_utf8_lossy(name);
        if known.contains(&&*name) {
            return;
        }
        let hint = match nearest(&name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("describe it in [schema_registry.schemas.{name}]"),
        };
        self.warn(Code::UnknownName, argument, format!("there is no schema `{name}`"), &hint);
    }

    /// Warns of `clientid()` and the like.
    fn blind(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Call(Callee::Name(name), args) => {
                let known =
                    Attribute::NAMES.iter().any(|(known, arities)| known == name && arities.contains(&args.len()));
                if known && name != "flags" {
                    let hint = "use the column of that name";
                    self.warn(Code::NeverTrue, expr, format!("`{name}()` is always undefined in a condition"), hint);
                }
                args.iter().for_each(|arg| self.blind(arg));
            }
            Kind::And(parts) | Kind::Or(parts) => parts.iter().for_each(|part| self.blind(part)),
            Kind::Not(part) | Kind::Unary(_, part) => self.blind(part),
            Kind::Arith(_, left, right) | Kind::Compare(_, left, right) => {
                self.blind(left);
                self.blind(right);
            }
            Kind::In(value, items) => {
                self.blind(value);
                items.iter().for_each(|item| self.blind(item));
            }
            _ => {}
        }
    }
}
