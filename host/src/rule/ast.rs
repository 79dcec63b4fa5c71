//! The tree of a rule as it was written, each node with its place. Nothing is resolved or checked here.

use super::diagnostic::Span;
use crate::value::Value;

/// A whole rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub body: Body,
    /// The entries of `FROM`; empty when it is missing.
    pub sources: Vec<(String, Span)>,
    pub condition: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Select(Vec<Field>),
    Foreach { fields: Vec<Field>, each: Option<Vec<Field>>, incase: Option<Expr> },
}

/// One entry of a field list.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Star(Span),
    Expr { expr: Expr, alias: Option<Expr> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: Kind,
    pub span: Span,
}

impl Expr {
    /// The expressions that stand directly in this one: an operator's and a call's from left to right, of CASE the branches
    /// before its subject and ELSE.
    pub(super) fn for_each_part(&self, mut visit: impl FnMut(&Expr)) {
        match &self.kind {
            Kind::Const(_) | Kind::Path(_) | Kind::Range(..) | Kind::Slice(..) | Kind::Raise(_) => {}
            Kind::List(parts) | Kind::And(parts) | Kind::Or(parts) | Kind::Call(_, parts) => {
                parts.iter().for_each(visit)
            }
            Kind::Unary(_, part) | Kind::Not(part) => visit(part),
            Kind::Arith(_, left, right) | Kind::Compare(_, left, right) => {
                visit(left);
                visit(right);
            }
            Kind::In(value, items) => {
                visit(value);
                items.iter().for_each(visit);
            }
            Kind::Case(case) => {
                for (when, then) in &case.branches {
                    visit(when);
                    visit(then);
                }
                case.subject.iter().chain(&case.otherwise).for_each(visit);
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Const(Value),
    /// A name and the steps after it; a variable when there are none.
    Path(Path),
    /// `[1..3]`
    Range(i64, i64),
    /// `a.b[1..3]`
    Slice(Path, i64, i64),
    List(Vec<Expr>),
    Call(Callee, Vec<Expr>),
    Unary(Sign, Box<Expr>),
    Arith(Arith, Box<Expr>, Box<Expr>),
    Compare(Compare, Box<Expr>, Box<Expr>),
    Case(Box<Case>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    In(Box<Expr>, Vec<Expr>),
    /// Allowed by the grammar, but raises when evaluated; why.
    Raise(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub subject: Option<Expr>,
    pub branches: Vec<(Expr, Expr)>,
    pub otherwise: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    pub name: String,
    /// Written in double quotes, which make a name and not a text.
    pub quoted: bool,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Key(String),
    /// From one; negative from the end; never zero.
    Index(i64),
    /// `[0]`: in front of the list.
    Head,
    /// `[-0]`: behind the list.
    Tail,
    /// `[i]`
    Variable(Path),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Callee {
    Name(String),
    /// `module.function` and longer.
    Qualified(Path),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arith {
    Add,
    Subtract,
    Multiply,
    Divide,
    IntegerDivide,
    Remainder,
}

impl Arith {
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Arith::Add => "+",
            Arith::Subtract => "-",
            Arith::Multiply => "*",
            Arith::Divide => "/",
            Arith::IntegerDivide => "div",
            Arith::Remainder => "mod",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `=~`: the left topic matches the right filter.
    TopicMatch,
    /// `~=`: is read, but always raises.
    Unsupported,
}

impl Compare {
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Compare::Equal => "=",
            Compare::NotEqual => "!=",
            Compare::Less => "<",
            Compare::LessOrEqual => "<=",
            Compare::Greater => ">",
            Compare::GreaterOrEqual => ">=",
            Compare::TopicMatch => "=~",
            Compare::Unsupported => "~=",
        }
    }
}
