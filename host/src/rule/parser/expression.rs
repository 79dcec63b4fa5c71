//! Values and conditions. One climb over the operators reads both; what may stand where is checked by class, because
//! the grammar allows conditions only in WHERE, INCASE and WHEN, and a comparison only once in a value.

use super::super::ast::{Arith, Callee, Case, Compare, Expr, Kind, Sign};
use super::super::diagnostic::{Code, Diagnostic};
use super::super::lexer::{Keyword, Token};
use super::super::{MAX_RANGE, value_of_integer};
use super::{MAX_HEIGHT, MAX_ITEMS, Noted, Parsed, Parser};
use crate::value::Value;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Scalar,
    /// A comparison without parentheses around it.
    Comparison,
    /// A comparison in parentheses, or anything with AND, OR, NOT, IN.
    Condition,
    Case,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Value,
    /// An argument of a function: comparisons and cases are operands too.
    Argument,
    Condition,
}

struct Node {
    expr: Expr,
    class: Class,
    height: usize,
}

impl Parser {
    /// The value of a field, and whether an alias may follow it without AS.
    pub(super) fn field_value(&mut self) -> Parsed<(Expr, bool)> {
        let node = self.any(Place::Value)?;
        self.reject(&node, &[Class::Condition], "a condition cannot be a field")?;
        Ok((node.expr, node.class != Class::Comparison))
    }

    pub(super) fn condition(&mut self) -> Parsed<Expr> {
        self.condition_node().map(|node| node.expr)
    }

    fn condition_node(&mut self) -> Parsed<Node> {
        let node = self.any(Place::Condition)?;
        self.reject(&node, &[Class::Case], "CASE cannot be a condition")?;
        Ok(node)
    }

    /// THEN and ELSE: a value or one comparison. An alias is read here, but raises.
    fn branch(&mut self) -> Parsed<Node> {
        let node = self.any(Place::Value)?;
        self.reject(
            &node,
            &[Class::Case, Class::Condition],
            "only a value may stand here; put it into a function's argument",
        )?;
        self.stray_alias(node)
    }

    fn stray_alias(&mut self, node: Node) -> Parsed<Node> {
        let bare = node.class == Class::Scalar && matches!(self.peek(), Token::Name { .. });
        if !bare && !self.take_keyword(Keyword::As) {
            return Ok(node);
        }
        self.target()?;
        let kind = Kind::Raise("an alias is allowed only in a field list");
        Ok(Node { expr: Expr { kind, span: node.expr.span.start..self.end() }, ..node })
    }

    fn reject(&mut self, node: &Node, classes: &[Class], message: &str) -> Parsed<()> {
        if !classes.contains(&node.class) {
            return Ok(());
        }
        let code = if node.class == Class::Case { Code::Syntax } else { Code::BooleanAsValue };
        let mut problem = Diagnostic::new(code, node.expr.span.clone(), message);
        if node.class == Class::Condition {
            problem = problem
                .with_hint("use CASE WHEN <condition> THEN … END; parentheses around a comparison make it a condition");
        }
        self.fail(problem)
    }

    fn any(&mut self, place: Place) -> Parsed<Node> {
        self.nested(|parser| parser.joined(place, Keyword::Or))
    }

    /// `a OR b OR c` and, one level down, `a AND b AND c`.
    fn joined(&mut self, place: Place, keyword: Keyword) -> Parsed<Node> {
        let operand = |parser: &mut Parser| match keyword {
            Keyword::Or => parser.joined(place, Keyword::And),
            _ => parser.negation(place),
        };
        let first = operand(self)?;
        if *self.peek() != Token::Keyword(keyword) {
            return Ok(first);
        }
        let (start, mut height) = (first.expr.span.start, first.height);
        self.reject(&first, &[Class::Case], "CASE cannot be a condition")?;
        let mut operands = vec![first.expr];
        while self.take_keyword(keyword) {
            let next = operand(self)?;
            self.reject(&next, &[Class::Case], "CASE cannot be a condition")?;
            height = height.max(next.height);
            operands.push(next.expr);
        }
        let kind = if keyword == Keyword::Or { Kind::Or(operands) } else { Kind::And(operands) };
        self.node(kind, start, Class::Condition, height)
    }

    fn negation(&mut self, place: Place) -> Parsed<Node> {
        let start = self.span().start;
        if !self.take_keyword(Keyword::Not) {
            return self.comparison(place);
        }
        let operand = self.nested(|parser| parser.negation(place))?;
        self.reject(&operand, &[Class::Case], "CASE cannot be a condition")?;
        self.node(Kind::Not(Box::new(operand.expr)), start, Class::Condition, operand.height)
    }

    fn comparison(&mut self, place: Place) -> Parsed<Node> {
        let mut left = self.chain(place, false)?;
        if let Token::Compare(compare) = *self.peek() {
            left = self.compared(place, compare, left)?;
            if let (Token::Compare(_), true) = (self.peek(), left.class != Class::Case) {
                let problem =
                    self.unexpected("AND, OR or the end of the condition").with_hint("a comparison cannot be compared");
                return self.fail(problem);
            }
        } else if matches!(self.peek(), Token::Keyword(Keyword::In | Keyword::Not)) {
            return self.membership(left);
        }
        if place == Place::Condition { self.stray_alias(left) } else { Ok(left) }
    }

    fn compared(&mut self, place: Place, compare: Compare, left: Node) -> Parsed<Node> {
        self.at += 1;
        self.scalar(&left, place)?;
        let right = self.chain(place, false)?;
        self.scalar(&right, place)?;
        let (start, height) = (left.expr.span.start, left.height.max(right.height));
        let kind = Kind::Compare(compare, Box::new(left.expr), Box::new(right.expr));
        self.node(kind, start, Class::Comparison, height)
    }

    fn membership(&mut self, left: Node) -> Parsed<Node> {
        let start = left.expr.span.start;
        let negated = self.take_keyword(Keyword::Not);
        self.expect_keyword(Keyword::In)?;
        self.scalar(&left, Place::Value)?;
        self.expect('(')?;
        let mut height = left.height;
        let mut items = Vec::new();
        loop {
            let item = self.any(Place::Value)?;
            self.reject(&item, &[Class::Case, Class::Condition], "only values may stand in the list of IN")?;
            height = height.max(item.height);
            items.push(item.expr);
            if !self.take(',') {
                break;
            }
        }
        self.expect(')')?;
        let node = self.node(Kind::In(Box::new(left.expr), items), start, Class::Condition, height)?;
        match negated {
            true => self.node(Kind::Not(Box::new(node.expr)), start, Class::Condition, node.height),
            false => Ok(node),
        }
    }

    /// `a + b - c` and, one level down, `a * b / c`.
    fn chain(&mut self, place: Place, factors: bool) -> Parsed<Node> {
        let operand = |parser: &mut Parser| if factors { parser.signed(place) } else { parser.chain(place, true) };
        let mut left = operand(self)?;
        loop {
            let operator = match (self.peek(), factors) {
                (Token::Punctuation('+'), false) => Arith::Add,
                (Token::Punctuation('-'), false) => Arith::Subtract,
                (Token::Punctuation('*'), true) => Arith::Multiply,
                (Token::Punctuation('/'), true) => Arith::Divide,
                (Token::Div, true) => Arith::IntegerDivide,
                (Token::Mod, true) => Arith::Remainder,
                _ => return Ok(left),
            };
            self.at += 1;
            self.scalar(&left, place)?;
            let right = operand(self)?;
            self.scalar(&right, place)?;
            let (start, height) = (left.expr.span.start, left.height.max(right.height));
            let kind = Kind::Arith(operator, Box::new(left.expr), Box::new(right.expr));
            left = self.node(kind, start, Class::Scalar, height)?;
        }
    }

    /// Operands of operators are plain values; as an argument, comparisons in parentheses and cases are values too.
    fn scalar(&mut self, node: &Node, place: Place) -> Parsed<()> {
        match node.class {
            Class::Scalar => Ok(()),
            Class::Comparison | Class::Case if place == Place::Argument => Ok(()),
            Class::Case => {
                self.reject(node, &[Class::Case], "CASE cannot be an operand; put it into a function's argument")
            }
            _ => self.reject(node, &[node.class], "a condition cannot be an operand"),
        }
    }

    fn signed(&mut self, place: Place) -> Parsed<Node> {
        let start = self.span().start;
        let sign = match self.peek() {
            Token::Punctuation('-') => Sign::Minus,
            Token::Punctuation('+') => Sign::Plus,
            _ => return self.primary(place),
        };
        self.at += 1;
        let operand = self.nested(|parser| parser.signed(place))?;
        self.scalar(&operand, place)?;
        self.node(Kind::Unary(sign, Box::new(operand.expr)), start, Class::Scalar, operand.height)
    }

    fn primary(&mut self, place: Place) -> Parsed<Node> {
        let start = self.span().start;
        let kind = match self.peek().clone() {
            Token::Text(text) => Kind::Const(Value::str(&text)),
            Token::Float(number) => Kind::Const(Value::Float(number)),
            Token::Integer(digits) => match value_of_integer(&digits) {
                Some(number) => Kind::Const(number),
                None => return self.fail(Diagnostic::new(Code::Limit, self.span(), "an integer of too many digits")),
            },
            Token::Range(from, to) => {
                let (from, to) = self.range(&from, &to)?;
                Kind::Range(from, to)
            }
            Token::Punctuation('[') => return self.list(),
            Token::Punctuation('(') => return self.parenthesised(place),
            Token::Keyword(Keyword::Case) => return self.nested(Parser::case),
            Token::Name { .. } => return self.named(),
            Token::Div | Token::Mod => {
                let name = if *self.peek() == Token::Div { "div" } else { "mod" };
                if self.tokens.get(self.at + 1).is_none_or(|(next, _)| *next != Token::Punctuation('(')) {
                    let hint = "it is a reserved word; put a name that is one in double quotes";
                    let problem = self.unexpected("a value").with_hint(hint);
                    return self.fail(problem);
                }
                self.at += 1;
                return self.call(Callee::Name(name.to_string()), start);
            }
            _ => {
                let problem = self.unexpected("a value");
                return self.fail(self.explain(problem));
            }
        };
        self.at += 1;
        self.node(kind, start, Class::Scalar, 0)
    }

    fn parenthesised(&mut self, place: Place) -> Parsed<Node> {
        self.at += 1;
        let inner = self.any(place)?;
        self.expect(')')?;
        let class = match inner.class {
            Class::Comparison if place == Place::Argument => Class::Scalar,
            Class::Comparison => Class::Condition,
            class => class,
        };
        Ok(Node { class, ..inner })
    }

    fn list(&mut self) -> Parsed<Node> {
        let start = self.span().start;
        self.at += 1;
        let mut items = Vec::new();
        let mut height = 0;
        // `[1,]` has one element, `[,]` is an error.
        while items.is_empty() || *self.peek() != Token::Punctuation(']') {
            if items.is_empty() && *self.peek() == Token::Punctuation(']') {
                break;
            }
            let item = self.any(Place::Value)?;
            let barred = [Class::Case, Class::Condition, Class::Comparison];
            self.reject(&item, &barred, "only plain values may stand in a list")?;
            height = height.max(item.height);
            items.push(item.expr);
            if items.len() > MAX_ITEMS {
                return self.fail(Diagnostic::new(Code::Limit, self.span(), format!("more than {MAX_ITEMS} elements")));
            }
            if !self.take(',') {
                break;
            }
        }
        self.expect(']')?;
        self.node(Kind::List(items), start, Class::Scalar, height)
    }

    /// A variable, a path, a slice of one, a boolean or a call.
    fn named(&mut self) -> Parsed<Node> {
        let start = self.span().start;
        let path = self.path()?;
        let plain = path.steps.is_empty();
        let kind = match self.peek().clone() {
            Token::Punctuation('(') => {
                let callee = if plain { Callee::Name(path.name) } else { Callee::Qualified(path) };
                return self.call(callee, start);
            }
            Token::Range(from, to) => {
                let (from, to) = self.bounds(&from, &to);
                self.at += 1;
                Kind::Slice(path, from, to)
            }
            _ if plain && !path.quoted && path.name == "true" => Kind::Const(Value::Bool(true)),
            _ if plain && !path.quoted && path.name == "false" => Kind::Const(Value::Bool(false)),
            _ => Kind::Path(path),
        };
        self.node(kind, start, Class::Scalar, 0)
    }

    fn call(&mut self, callee: Callee, start: usize) -> Parsed<Node> {
        self.at += 1;
        let mut arguments = Vec::new();
        let mut height = 0;
        if !self.take(')') {
            loop {
                let argument = self.any(Place::Argument)?;
                self.reject(&argument, &[Class::Condition], "a condition cannot be an argument")?;
                height = height.max(argument.height);
                arguments.push(argument.expr);
                if arguments.len() > MAX_ITEMS {
                    return self.fail(Diagnostic::new(
                        Code::Limit,
                        self.span(),
                        format!("more than {MAX_ITEMS} arguments"),
                    ));
                }
                if !self.take(',') {
                    break;
                }
            }
            self.expect(')')?;
        }
        self.node(Kind::Call(callee, arguments), start, Class::Scalar, height)
    }

    fn case(&mut self) -> Parsed<Node> {
        let start = self.span().start;
        self.at += 1;
        let mut height = 0;
        let subject = match self.peek() {
            Token::Keyword(Keyword::When) => None,
            _ => Some(self.branch()?),
        };
        let mut branches = Vec::new();
        while self.take_keyword(Keyword::When) {
            let condition = self.condition_node()?;
            self.expect_keyword(Keyword::Then)?;
            let value = self.branch()?;
            height = height.max(condition.height).max(value.height);
            branches.push((condition.expr, value.expr));
        }
        if branches.is_empty() {
            let problem = self.unexpected("WHEN");
            return self.fail(problem);
        }
        let otherwise = if self.take_keyword(Keyword::Else) { Some(self.branch()?) } else { None };
        self.expect_keyword(Keyword::End)?;
        for part in [&subject, &otherwise].into_iter().flatten() {
            height = height.max(part.height);
        }
        let (subject, otherwise) = (subject.map(|node| node.expr), otherwise.map(|node| node.expr));
        self.node(Kind::Case(Box::new(Case { subject, branches, otherwise })), start, Class::Case, height)
    }

    fn bounds(&self, from: &str, to: &str) -> (i64, i64) {
        let bound = |text: &str| text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX });
        (bound(from), bound(to))
    }

    fn range(&mut self, from: &str, to: &str) -> Parsed<(i64, i64)> {
        let (Ok(from), Ok(to)) = (from.parse::<i64>(), to.parse::<i64>()) else {
            let message = format!("the ends of a range must be between {} and {}", i64::MIN, i64::MAX);
            return self.fail(Diagnostic::new(Code::Limit, self.span(), message));
        };
        if to.saturating_sub(from) >= MAX_RANGE {
            let message = format!("a range of more than {MAX_RANGE} elements");
            return self.fail(Diagnostic::new(Code::Limit, self.span(), message));
        }
        Ok((from, to))
    }

    fn node(&mut self, kind: Kind, start: usize, class: Class, below: usize) -> Parsed<Node> {
        let height = below + 1;
        if height > MAX_HEIGHT {
            let message = format!("an expression of more than {MAX_HEIGHT} levels");
            self.note(Diagnostic::new(Code::Limit, self.span(), message));
            return Err(Noted);
        }
        Ok(Node { expr: Expr { kind, span: start..self.end() }, class, height })
    }
}
