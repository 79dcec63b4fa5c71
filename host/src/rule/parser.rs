//! Tokens to a tree (rule-sql 1.3 to 1.5). After an error it goes on at the next field or clause, so that one run finds
//! several. Never builds a tree higher than [`MAX_HEIGHT`].

use super::ast::{Body, Expr, Field, Kind, Path, Statement, Step};
use super::diagnostic::{Code, Diagnostic, Span};
use super::lexer::{KEYWORDS, Keyword, Token, tokenize};

mod expression;

/// Levels of expressions inside expressions, chains of operators included.
pub const MAX_HEIGHT: usize = 200;
/// Levels of parentheses, calls, lists and cases.
const MAX_NESTING: usize = 64;
/// Fields of one list, steps of one path, arguments of one call.
const MAX_ITEMS: usize = 1024;
const MAX_STEPS: usize = 64;
/// Complaints of one run; more help nobody.
const MAX_PROBLEMS: usize = 20;

/// The tree of `sql`, or why there is none.
pub fn parse(sql: &str) -> Result<Statement, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let tokens = tokenize(sql, &mut problems);
    // Without a beginning the grammar has nothing to add to the lexer's complaints.
    if tokens.len() == 1 && !problems.is_empty() {
        return Err(problems);
    }
    let mut parser = Parser { tokens, at: 0, problems, nesting: 0 };
    let statement = parser.statement();
    let mut problems = parser.problems;
    problems.sort_by_key(|problem| problem.span.start);
    problems.truncate(MAX_PROBLEMS);
    match statement {
        Some(statement) if problems.is_empty() => Ok(statement),
        _ => Err(problems),
    }
}

/// The complaint has been noted already.
struct Noted;
type Parsed<T> = Result<T, Noted>;

struct Parser {
    tokens: Vec<(Token, Span)>,
    at: usize,
    problems: Vec<Diagnostic>,
    nesting: usize,
}

impl Parser {
    fn statement(&mut self) -> Option<Statement> {
        let body = if self.take_keyword(Keyword::Select) {
            Body::Select(self.fields())
        } else if self.take_keyword(Keyword::Foreach) {
            let fields = self.fields();
            let each = self.take_keyword(Keyword::Do).then(|| self.fields());
            let incase = self.take_keyword(Keyword::Incase).then(|| self.condition_or_skip()).flatten();
            Body::Foreach { fields, each, incase }
        } else {
            let problem = self.unexpected("SELECT or FOREACH");
            self.note(self.explain(problem));
            return None;
        };
        let has_from = self.take_keyword(Keyword::From);
        let sources = if has_from { self.sources() } else { Vec::new() };
        let has_where = self.take_keyword(Keyword::Where);
        let condition = has_where.then(|| self.condition_or_skip()).flatten();
        // What a broken condition left over needs no complaint of its own.
        let broken = has_where && condition.is_none();
        if *self.peek() != Token::End && !broken {
            let problem = self.unexpected(match (has_from, condition.is_some()) {
                (_, true) => "AND, OR or the end of the rule",
                (true, false) => "WHERE or the end of the rule",
                (false, false) => "`,` or FROM",
            });
            self.note(self.explain(problem));
        } else if !has_from && self.problems.is_empty() {
            let hint = "write the topic after the fields, such as FROM \"sensors/#\"";
            self.note(
                Diagnostic::new(Code::NoFrom, self.span(), "the rule has no FROM (empty_from_clause)").with_hint(hint),
            );
        }
        Some(Statement { body, sources, condition })
    }

    /// A hint for words that other dialects have, and for misspelled keywords; either may have been taken for an alias.
    fn explain(&self, problem: Diagnostic) -> Diagnostic {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let here = (self.peek().clone(), self.span());
        for (token, span) in [Some(&here), before].into_iter().flatten() {
            let Token::Name { text, quoted: false } = token else { continue };
            let Some(hint) = foreign(text).map(String::from).or_else(|| misspelled(text)) else { continue };
            let message = match *span == here.1 {
                true => problem.message,
                false => format!("`{}` cannot stand here", shorten(text)),
            };
            return Diagnostic::new(problem.code, span.clone(), message).with_hint(hint);
        }
        match self.peek() {
            Token::Keyword(Keyword::Do) => problem.with_hint("DO stands before INCASE"),
            Token::Keyword(Keyword::Where | Keyword::From) => problem.with_hint("the order is FROM, then WHERE"),
            _ => problem,
        }
    }

    fn sources(&mut self) -> Vec<(String, Span)> {
        let mut sources = Vec::new();
        loop {
            let span = self.span();
            match self.next() {
                Token::Name { text, .. } | Token::Text(text) => sources.push((text, span)),
                _ => {
                    self.at = self.at.saturating_sub(1);
                    let hint = "such as FROM \"sensors/#\"";
                    let problem = self.unexpected("a topic in quotes").with_hint(hint);
                    self.note(problem);
                    self.recover(self.at);
                }
            }
            if !self.take(',') {
                return sources;
            }
        }
    }

    /// One field or more; a broken one is left out.
    fn fields(&mut self) -> Vec<Field> {
        let mut fields = Vec::new();
        loop {
            let start = self.at;
            match self.field() {
                Ok(_) if !self.at_boundary() => {
                    let problem = self.unexpected("`,` or FROM");
                    self.note(self.explain(problem));
                    self.recover(start);
                }
                Ok(field) => fields.push(field),
                Err(Noted) => self.recover(start),
            }
            if fields.len() > MAX_ITEMS {
                self.note(Diagnostic::new(Code::Limit, self.span(), format!("more than {MAX_ITEMS} fields")));
                self.at = self.tokens.len().saturating_sub(1);
            }
            if !self.take(',') {
                return fields;
            }
        }
    }

    fn field(&mut self) -> Parsed<Field> {
        let start = self.span();
        if self.take('*') {
            return Ok(Field::Star(start));
        }
        let (expr, bare_alias) = self.field_value()?;
        let alias = if self.take_keyword(Keyword::As) || (bare_alias && matches!(self.peek(), Token::Name { .. })) {
            Some(self.target()?)
        } else {
            None
        };
        Ok(Field::Expr { expr, alias })
    }

    /// An alias. A boolean is read but cannot be stored into.
    fn target(&mut self) -> Parsed<Expr> {
        let start = self.span().start;
        let path = match self.peek() {
            Token::Name { .. } => self.path()?,
            _ => {
                let problem =
                    self.unexpected("a name").with_hint("put an alias that is not a plain word in double quotes");
                return self.fail(problem);
            }
        };
        let boolean = !path.quoted && matches!(path.name.as_str(), "true" | "false");
        let kind = if boolean { Kind::Raise("a boolean cannot be an alias") } else { Kind::Path(path) };
        Ok(Expr { kind, span: start..self.end() })
    }

    fn condition_or_skip(&mut self) -> Option<Expr> {
        let start = self.at;
        match self.condition() {
            Ok(condition) => Some(condition),
            Err(Noted) => {
                self.recover(start);
                None
            }
        }
    }

    /// A name and its steps; the next token is a name.
    fn path(&mut self) -> Parsed<Path> {
        let start = self.span().start;
        let (name, quoted) = match self.next() {
            Token::Name { text, quoted } => (text, quoted),
            _ => unreachable!("the caller has seen a name"),
        };
        let mut path = Path { name, quoted, steps: Vec::new() };
        loop {
            let step = if self.take('.') {
                self.key()?
            } else if self.take('[') {
                self.nested(Parser::index)?
            } else {
                break;
            };
            path.steps.push(step);
            if path.steps.len() > MAX_STEPS {
                let message = format!("a path of more than {MAX_STEPS} steps");
                return self.fail(Diagnostic::new(Code::Limit, self.span(), message));
            }
        }
        if !path.steps.is_empty() && !path.quoted && matches!(path.name.as_str(), "true" | "false") {
            let message = "a boolean has no parts; put the name in double quotes if it is one";
            return self.fail(Diagnostic::new(Code::Syntax, start..self.end(), message));
        }
        Ok(path)
    }

    fn key(&mut self) -> Parsed<Step> {
        match self.peek() {
            Token::Name { text, .. } | Token::Text(text) => {
                let key = Step::Key(text.clone());
                self.at += 1;
                Ok(key)
            }
            Token::Integer(digits) => {
                let digits = digits.trim_start_matches('0');
                let key = Step::Key(String::from(if digits.is_empty() { "0" } else { digits }));
                self.at += 1;
                Ok(key)
            }
            Token::Keyword(_) | Token::Div | Token::Mod => {
                let problem = self.unexpected("a key").with_hint("put a key that is a reserved word in double quotes");
                // It was meant as a key; no clause begins here.
                self.at += 1;
                self.fail(problem)
            }
            _ => {
                let problem = self.unexpected("a key after the point");
                self.fail(problem)
            }
        }
    }

    fn index(&mut self) -> Parsed<Step> {
        let minus = match self.peek() {
            Token::Punctuation('-') => Some(true),
            Token::Punctuation('+') => Some(false),
            _ => None,
        };
        self.at += usize::from(minus.is_some());
        let step = match self.peek().clone() {
            Token::Integer(digits) => {
                self.at += 1;
                let number = digits.parse().unwrap_or(i64::MAX);
                match (digits.as_str(), minus == Some(true)) {
                    ("0", false) => Step::Head,
                    ("0", true) => Step::Tail,
                    (_, true) => Step::Index(-number),
                    (_, false) => Step::Index(number),
                }
            }
            Token::Name { .. } if minus.is_none() => Step::Variable(self.path()?),
            _ => {
                let problem = self.unexpected("an index: an integer or a name");
                return self.fail(problem);
            }
        };
        self.expect(']')?;
        Ok(step)
    }

    // ---- tokens ----

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn span(&self) -> Span {
        let last = self.tokens.len().saturating_sub(1);
        self.tokens.get(self.at.min(last)).map_or(0..0, |(_, span)| span.clone())
    }

    /// Where the last token that was taken ends.
    fn end(&self) -> usize {
        self.tokens.get(self.at.saturating_sub(1)).map_or(0, |(_, span)| span.end)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn take(&mut self, sign: char) -> bool {
        let found = *self.peek() == Token::Punctuation(sign);
        self.at += usize::from(found);
        found
    }

    fn take_keyword(&mut self, keyword: Keyword) -> bool {
        let found = *self.peek() == Token::Keyword(keyword);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: char) -> Parsed<()> {
        if self.take(sign) {
            return Ok(());
        }
        let problem = self.unexpected(&format!("`{sign}`"));
        self.fail(problem)
    }

    fn expect_keyword(&mut self, keyword: Keyword) -> Parsed<()> {
        if self.take_keyword(keyword) {
            return Ok(());
        }
        let problem = self.unexpected(keyword_text(keyword));
        self.fail(problem)
    }

    /// Goes one level deeper for `inner`.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Parser) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= MAX_NESTING {
            let message = format!("nested deeper than {MAX_NESTING} levels");
            return self.fail(Diagnostic::new(Code::Limit, self.span(), message));
        }
        self.nesting += 1;
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    // ---- errors ----

    fn unexpected(&self, expected: &str) -> Diagnostic {
        let found = match self.peek() {
            // Complained of by the lexer; `note` drops this.
            Token::Bad => return Diagnostic::new(Code::Character, self.span(), ""),
            Token::End => String::from("the rule ends here"),
            Token::Keyword(keyword) => format!("unexpected {}", keyword_text(*keyword)),
            Token::Name { text, .. } => format!("unexpected name `{}`", shorten(text)),
            Token::Text(text) => format!("unexpected text '{}'", shorten(text)),
            Token::Integer(digits) => format!("unexpected number {}", shorten(digits)),
            Token::Float(number) => format!("unexpected number {number}"),
            Token::Range(from, to) => format!("unexpected range [{}..{}]", shorten(from), shorten(to)),
            Token::Compare(compare) => format!("unexpected `{}`", compare.symbol()),
            Token::Punctuation(sign) => format!("unexpected `{sign}`"),
            Token::Div => String::from("unexpected `div`"),
            Token::Mod => String::from("unexpected `mod`"),
        };
        Diagnostic::new(Code::Syntax, self.span(), format!("{found}; expected {expected}"))
    }

    fn note(&mut self, problem: Diagnostic) {
        if self.problems.len() < MAX_PROBLEMS && problem.code != Code::Character {
            self.problems.push(problem);
        }
    }

    fn fail<T>(&mut self, problem: Diagnostic) -> Parsed<T> {
        self.note(problem);
        Err(Noted)
    }

    /// Whether a field may end here.
    fn at_boundary(&self) -> bool {
        matches!(
            self.peek(),
            Token::End
                | Token::Punctuation(',')
                | Token::Keyword(Keyword::From | Keyword::Where | Keyword::Do | Keyword::Incase)
        )
    }

    /// Skips to the next comma outside of the brackets opened since `start`, or to the next clause.
    fn recover(&mut self, start: usize) {
        let mut open = 0usize;
        let behind = self.tokens.get(start..self.at).unwrap_or_default();
        for (token, _) in behind {
            count_brackets(token, &mut open);
        }
        while !self.at_boundary() || (open > 0 && *self.peek() == Token::Punctuation(',')) {
            count_brackets(&self.peek().clone(), &mut open);
            self.at += 1;
        }
    }
}

/// What to write instead of a word of another dialect.
fn foreign(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "is" | "null" => "there is no such clause; use is_null(x), or is_null_var(x) for JSON's null too",
        "like" => "there is no such clause; use regex_match(x, pattern), or topic =~ 'filter' for topics",
        "between" => "there is no such clause; use x >= a AND x <= b",
        "group" | "order" | "limit" | "join" | "having" | "union" => {
            "there is no such clause; a rule sees one message at a time"
        }
        _ => return None,
    })
}

/// The keyword of a clause that a word was probably meant to be. Short keywords resemble too many names.
fn misspelled(word: &str) -> Option<String> {
    const CLAUSES: [&str; 5] = ["SELECT", "FOREACH", "INCASE", "FROM", "WHERE"];
    let near = super::diagnostic::nearest(word, CLAUSES)?;
    Some(format!("did you mean {near}?"))
}

fn count_brackets(token: &Token, open: &mut usize) {
    match token {
        Token::Punctuation('(' | '[') => *open += 1,
        Token::Punctuation(')' | ']') => *open = open.saturating_sub(1),
        _ => {}
    }
}

fn keyword_text(keyword: Keyword) -> &'static str {
    KEYWORDS.iter().find(|(_, known)| *known == keyword).map_or("", |(text, _)| text)
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
