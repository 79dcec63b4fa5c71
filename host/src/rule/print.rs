//! The tree of a rule as text: reading the text again gives the same tree. For `explain`; never part of a message's way.
//!
//! Keywords in capitals, one blank between words, parentheses only where the tree needs them. What the language forgets
//! while it reads (comments, brackets that change nothing, which quotes a topic had) is not there any more.

use std::fmt::{self, Write};

use super::ast::{Arith, Body, Callee, Case, Expr, Field, Kind, Path, Sign, Statement, Step};
use super::lexer::KEYWORDS;
use crate::value::Value;

/// The rule on one line, unless its texts hold line breaks.
pub(super) fn print(statement: &Statement) -> String {
    let mut printer = Printer { out: String::new() };
    // Writing to memory does not fail.
    let _ = printer.statement(statement);
    printer.out
}

/// A name and its steps, as they would stand in a field.
pub(super) fn print_path(path: &Path) -> String {
    let mut printer = Printer { out: String::new() };
    let _ = printer.path(path);
    printer.out
}

/// How tightly the place binds: whatever binds less gets parentheses. In ascending order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// Anything may stand here as it is.
    Open,
    /// An operand of OR.
    And,
    /// An operand of AND, or of NOT.
    Not,
    /// A side of a comparison, or the left of IN.
    Sum,
    /// The right side of `+` and `-`.
    Product,
    /// The right side of `*` and its like, and what a sign stands before.
    Primary,
}

struct Printer {
    out: String,
}

impl Printer {
    fn statement(&mut self, statement: &Statement) -> fmt::Result {
        match &statement.body {
            Body::Select(fields) => self.fields("SELECT ", fields)?,
            Body::Foreach { fields, each, incase } => {
                self.fields("FOREACH ", fields)?;
                if let Some(each) = each {
                    self.fields(" DO ", each)?;
                }
                if let Some(incase) = incase {
                    self.out.push_str(" INCASE ");
                    self.expr(incase, Level::Open)?;
                }
            }
        }
        for (i, (topic, _)) in statement.sources.iter().enumerate() {
            self.out.push_str(if i == 0 { " FROM " } else { ", " });
            self.out.push_str(&quoted(topic, '"'));
        }
        if let Some(condition) = &statement.condition {
            self.out.push_str(" WHERE ");
            self.expr(condition, Level::Open)?;
        }
        Ok(())
    }

    fn fields(&mut self, keyword: &str, fields: &[Field]) -> fmt::Result {
        self.out.push_str(keyword);
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            let (expr, alias) = match field {
                Field::Star(_) => {
                    self.out.push('*');
                    continue;
                }
                Field::Expr { expr, alias } => (expr, alias),
            };
            self.expr(expr, Level::Open)?;
            match alias.as_ref().map(|alias| &alias.kind) {
                None => {}
                Some(Kind::Path(path)) => {
                    self.out.push_str(" AS ");
                    self.path(path)?;
                }
                // The only other alias that the language reads.
                Some(_) => self.out.push_str(" AS true"),
            }
        }
        Ok(())
    }

    fn expr(&mut self, expr: &Expr, place: Level) -> fmt::Result {
        let own = level(&expr.kind);
        if own < place {
            self.out.push('(');
            self.expr(expr, Level::Open)?;
            self.out.push(')');
            return Ok(());
        }
        match &expr.kind {
            Kind::Const(value) => self.constant(value),
            Kind::Path(path) => self.path(path),
            Kind::Range(from, to) => write!(self.out, "[{from}..{to}]"),
            Kind::Slice(path, from, to) => {
                self.path(path)?;
                write!(self.out, "[{from}..{to}]")
            }
            Kind::List(items) => self.list('[', items, ']'),
            Kind::Call(callee, arguments) => {
                match callee {
                    Callee::Name(name) if matches!(name.as_str(), "div" | "mod") => self.out.push_str(name),
                    Callee::Name(name) => self.out.push_str(&name_of(name)),
                    Callee::Qualified(path) => self.path(path)?,
                }
                self.list('(', arguments, ')')
            }
            Kind::Unary(sign, operand) => {
                self.out.push(if *sign == Sign::Minus { '-' } else { '+' });
                // Two signs in a row would begin a comment.
                match operand.kind {
                    Kind::Unary(..) => self.bracketed(operand),
                    _ => self.expr(operand, Level::Primary),
                }
            }
            Kind::Arith(operator, left, right) => {
                let tighter = if own == Level::Sum { Level::Product } else { Level::Primary };
                self.expr(left, own)?;
                write!(self.out, " {} ", operator.symbol())?;
                match right.kind {
                    Kind::Unary(..) => self.bracketed(right),
                    _ => self.expr(right, tighter),
                }
            }
            Kind::Compare(compare, left, right) => {
                self.expr(left, Level::Sum)?;
                write!(self.out, " {} ", compare.symbol())?;
                self.expr(right, Level::Sum)
            }
            Kind::Case(case) => self.case(case),
            Kind::And(operands) => self.joined(operands, " AND ", Level::Not),
            Kind::Or(operands) => self.joined(operands, " OR ", Level::And),
            Kind::Not(operand) => {
                self.out.push_str("NOT ");
                self.expr(operand, Level::Not)
            }
            Kind::In(value, items) => {
                self.expr(value, Level::Sum)?;
                self.out.push_str(" IN ");
                self.list('(', items, ')')
            }
            // An alias where none may stand; what was named does not matter, it is never evaluated.
            Kind::Raise(_) => self.out.write_str("1 AS x"),
        }
    }

    fn bracketed(&mut self, expr: &Expr) -> fmt::Result {
        self.out.push('(');
        self.expr(expr, Level::Open)?;
        self.out.push(')');
        Ok(())
    }

    fn joined(&mut self, operands: &[Expr], word: &str, level: Level) -> fmt::Result {
        for (i, operand) in operands.iter().enumerate() {
            if i > 0 {
                self.out.push_str(word);
            }
            self.expr(operand, level)?;
        }
        Ok(())
    }

    fn list(&mut self, open: char, items: &[Expr], close: char) -> fmt::Result {
        self.out.push(open);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            self.expr(item, Level::Open)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn case(&mut self, case: &Case) -> fmt::Result {
        self.out.push_str("CASE");
        if let Some(subject) = &case.subject {
            self.out.push(' ');
            self.expr(subject, Level::Open)?;
        }
        for (when, then) in &case.branches {
            self.out.push_str(" WHEN ");
            self.expr(when, Level::Open)?;
            self.out.push_str(" THEN ");
            self.expr(then, Level::Open)?;
        }
        if let Some(otherwise) = &case.otherwise {
            self.out.push_str(" ELSE ");
            self.expr(otherwise, Level::Open)?;
        }
        self.out.push_str(" END");
        Ok(())
    }

    fn constant(&mut self, value: &Value) -> fmt::Result {
        match value {
            Value::Str(text) => {
                self.out.push_str(&quoted(&String::from_utf8_lossy(text), '\''));
                Ok(())
            }
            Value::Float(number) => {
                let text = format!("{number:?}");
                match text.split_once('e') {
                    Some((digits, exponent)) if !digits.contains('.') => write!(self.out, "{digits}.0e{exponent}"),
                    _ => self.out.write_str(&text),
                }
            }
            other => self.out.write_str(&String::from_utf8_lossy(&other.text().unwrap_or_default())),
        }
    }

    fn path(&mut self, path: &Path) -> fmt::Result {
        match path.quoted {
            true => self.out.push_str(&quoted(&path.name, '"')),
            false => self.out.push_str(&path.name),
        }
        for step in &path.steps {
            match step {
                Step::Key(key) => {
                    self.out.push('.');
                    self.out.push_str(&name_of(key));
                }
                // Zero in any other spelling than these two is an index like others.
                Step::Index(0) => self.out.push_str("[00]"),
                Step::Index(index) => write!(self.out, "[{index}]")?,
                Step::Head => self.out.push_str("[0]"),
                Step::Tail => self.out.push_str("[-0]"),
                Step::Variable(inner) => {
                    self.out.push('[');
                    self.path(inner)?;
                    self.out.push(']');
                }
            }
        }
        Ok(())
    }
}

fn level(kind: &Kind) -> Level {
    match kind {
        Kind::Or(_) | Kind::Raise(_) => Level::Open,
        Kind::And(_) => Level::And,
        Kind::Not(_) | Kind::In(..) | Kind::Compare(..) => Level::Not,
        Kind::Arith(Arith::Add | Arith::Subtract, ..) => Level::Sum,
        Kind::Arith(..) => Level::Product,
        // A CASE is an operand in arguments only, and reads better in parentheses there.
        Kind::Case(_) => Level::Not,
        _ => Level::Primary,
    }
}

/// A name without quotes if it can be read so.
fn name_of(name: &str) -> String {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$@~".contains(&byte));
    let reserved = matches!(name, "div" | "mod") || KEYWORDS.iter().any(|(word, _)| word.eq_ignore_ascii_case(name));
    match letters && !reserved && name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => name.to_owned(),
        false => quoted(name, '"'),
    }
}

/// In quotes of this kind; a key that cannot be written so, in the other.
fn quoted(text: &str, quote: char) -> String {
    let fits = |quote: char| {
        let runs = text.split(|letter| letter != quote).all(|run| run.len() % 2 == 0);
        runs && !text.starts_with(quote) && !text.ends_with(quote)
    };
    let other = if quote == '"' { '\'' } else { '"' };
    let quote = if fits(quote) { quote } else { other };
    // A line break before a slash is taken out when a rule is read, with the slash; of two, one is left.
    format!("{quote}{}{quote}", text.replace("\n/", "\n\n//"))
}

#[cfg(test)]
mod tests {
    use super::super::parser::parse;
    use super::*;

    fn printed(sql: &str) -> String {
        print(&parse(sql).unwrap_or_else(|problems| panic!("{sql}: {problems:?}")))
    }

    #[test]
    fn one_form_for_all_spellings() {
        let sql =
            "select ((a.b)) x, -(-1) as y -- note\n from t, 'u/#' where not ((a=1)) and (b = 2 or c in (1,'it''s'))";
        let expected =
            "SELECT a.b AS x, -(-1) AS y FROM \"t\", \"u/#\" WHERE NOT a = 1 AND (b = 2 OR c IN (1, 'it''s'))";
        assert_eq!(printed(sql), expected);
        assert_eq!(printed(expected), expected);
    }

    #[test]
    fn parentheses_only_where_needed() {
        for sql in [
            "SELECT 1 + 2 * 3 AS a, (1 + 2) * 3 AS b, 1 - (2 - 3) AS c, 8 div (4 mod 3) AS d FROM \"t\"",
            "SELECT a[00], a[0], a[-0], a[i.k].\"in\".'x\"y', b[1..-2] FROM \"t\"",
            "FOREACH payload.l AS x DO *, x AS y INCASE x > 1.0e-7 FROM \"t\" WHERE (a = 1 AND b = 2) AND c = 3",
            "SELECT str((a = 1) = (b = 2)) AS a, str((CASE WHEN a = 1 THEN 2 END) + 1) AS b FROM \"t\"",
        ] {
            assert_eq!(printed(sql), sql);
        }
    }
}
