//! Rule text to tokens with places (rule-sql 1.1, 1.2). The longest match wins, as in EMQX; several errors in one run.
//!
//! Never looks at grammar: a token's meaning is the parser's business.

use super::ast::Compare;
use super::diagnostic::{Code, Diagnostic, Span};

/// The longest rule, in bytes.
pub const MAX_SQL_BYTES: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    Keyword(Keyword),
    /// A bare name, or one in double quotes.
    Name {
        text: String,
        quoted: bool,
    },
    Text(String),
    /// The digits of an integer.
    Integer(String),
    Float(f64),
    /// The bounds of `[1..3]`, as written.
    Range(String, String),
    Compare(Compare),
    /// One of `- + * / ( ) [ ] , .`
    Punctuation(char),
    Div,
    Mod,
    /// A character without a meaning, complained of already.
    Bad,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    And,
    As,
    Case,
    If,
    Else,
    Elsif,
    From,
    In,
    Not,
    Or,
    Select,
    When,
    Then,
    Foreach,
    Incase,
    End,
    Do,
    Where,
}

pub const KEYWORDS: [(&str, Keyword); 18] = [
    ("AND", Keyword::And),
    ("AS", Keyword::As),
    ("CASE", Keyword::Case),
    ("IF", Keyword::If),
    ("ELSE", Keyword::Else),
    ("ELSIF", Keyword::Elsif),
    ("FROM", Keyword::From),
    ("IN", Keyword::In),
    ("NOT", Keyword::Not),
    ("OR", Keyword::Or),
    ("SELECT", Keyword::Select),
    ("WHEN", Keyword::When),
    ("THEN", Keyword::Then),
    ("FOREACH", Keyword::Foreach),
    ("INCASE", Keyword::Incase),
    ("END", Keyword::End),
    ("DO", Keyword::Do),
    ("WHERE", Keyword::Where),
];

/// The tokens of `sql`, the last one [`Token::End`]. Complaints go to `problems`.
pub fn tokenize(sql: &str, problems: &mut Vec<Diagnostic>) -> Vec<(Token, Span)> {
    if sql.len() > MAX_SQL_BYTES {
        let message = format!("the rule has {} bytes; at most {MAX_SQL_BYTES} are allowed", sql.len());
        problems.push(Diagnostic::new(Code::Text, 0..0, message));
        return vec![(Token::End, 0..0)];
    }
    let source = Source::new(sql);
    if source.text.is_empty() {
        problems.push(Diagnostic::new(Code::Text, 0..sql.len(), "the rule is empty"));
    }
    let mut lexer = Lexer { text: &source.text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.white_space();
        let start = lexer.at;
        let token = lexer.token();
        let span = source.span(start..lexer.at);
        match token {
            Ok(Token::End) => {
                tokens.push((Token::End, span));
                return tokens;
            }
            Ok(token) => tokens.push((token, span)),
            Err((code, message, hint)) => {
                // What takes the place of a broken value keeps the parser from complaining too.
                match code {
                    Code::Number => tokens.push((Token::Integer(String::from("0")), span.clone())),
                    Code::Text => tokens.push((Token::Text(String::new()), span.clone())),
                    _ => tokens.push((Token::Bad, span.clone())),
                }
                let mut problem = Diagnostic::new(code, span, message);
                problem.hint = hint.map(String::from);
                problems.push(problem);
            }
        }
    }
}

/// The text that is read: trimmed, and without each line break that a slash follows (together with the slash).
struct Source {
    text: String,
    /// Where in `text` something was taken out, and how many bytes of the original precede what follows.
    cuts: Vec<(usize, usize)>,
    len: usize,
}

impl Source {
    fn new(sql: &str) -> Source {
        let trimmed = sql.trim_start();
        let mut offset = sql.len() - trimmed.len();
        let trimmed = trimmed.trim_end();
        let mut text = String::with_capacity(trimmed.len());
        let mut cuts = vec![(0, offset)];
        for (i, piece) in trimmed.split("\n/").enumerate() {
            if i > 0 {
                offset += 2;
                cuts.push((text.len(), text.len() + offset));
            }
            text.push_str(piece);
        }
        Source { text, cuts, len: sql.len() }
    }

    fn span(&self, span: Span) -> Span {
        let place = |at: usize| {
            let &(cut, original) = self.cuts.iter().rfind(|(cut, _)| *cut <= at).unwrap_or(&(0, 0));
            (original + at - cut).min(self.len)
        };
        let start = place(span.start);
        start..if span.is_empty() { start } else { place(span.end - 1) + 1 }
    }
}

type Problem = (Code, String, Option<&'static str>);

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// White space, and comments: `--` up to a line break. Without a line break it is no comment but two minus signs.
    fn white_space(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            let comment = match rest[blanks..].starts_with(b"--") {
                true => rest[blanks..].iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1),
                false => 0,
            };
            if blanks + comment == 0 {
                return;
            }
            self.at += blanks + comment;
        }
    }

    fn token(&mut self) -> Result<Token, Problem> {
        let rest = self.rest();
        let Some(&first) = rest.first() else { return Ok(Token::End) };
        match first {
            b'\'' | b'"' => self.quoted(first),
            b'0'..=b'9' => self.number(),
            b'a'..=b'z' | b'A'..=b'Z' => Ok(self.word()),
            b'[' if let Some((from, to, len)) = range(rest) => {
                self.at += len;
                Ok(Token::Range(from, to))
            }
            _ => self.symbol(),
        }
    }

    fn symbol(&mut self) -> Result<Token, Problem> {
        let rest = self.rest();
        let (token, len) = match rest {
            [b'=', b'~', ..] => (Token::Compare(Compare::TopicMatch), 2),
            [b'~', b'=', ..] => (Token::Compare(Compare::Unsupported), 2),
            [b'!', b'=', ..] | [b'<', b'>', ..] => (Token::Compare(Compare::NotEqual), 2),
            [b'<', b'=', ..] => (Token::Compare(Compare::LessOrEqual), 2),
            [b'>', b'=', ..] => (Token::Compare(Compare::GreaterOrEqual), 2),
            [b'=', ..] => (Token::Compare(Compare::Equal), 1),
            [b'<', ..] => (Token::Compare(Compare::Less), 1),
            [b'>', ..] => (Token::Compare(Compare::Greater), 1),
            [sign @ (b'-' | b'+' | b'*' | b'/' | b'(' | b')' | b'[' | b']' | b',' | b'.'), ..] => {
                (Token::Punctuation(char::from(*sign)), 1)
            }
            _ => {
                let letter = self.text[self.at..].chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
                self.at += letter.len_utf8();
                let hint = match letter {
                    ';' => Some("a rule does not end with a semicolon"),
                    '`' => Some("put names in double quotes and texts in single quotes"),
                    '_' | '$' => Some("a bare name begins with a letter; put other names in double quotes"),
                    '%' => Some("the remainder is written `mod`"),
                    '&' | '|' => Some("conditions are joined with AND and OR"),
                    '!' => Some("negation is written NOT, inequality `!=`"),
                    '#' => Some("a topic filter is written in quotes; a comment begins with `--`"),
                    _ if !letter.is_ascii() => Some("put names that are not plain ASCII in double quotes"),
                    _ => None,
                };
                return Err((Code::Character, format!("`{}` has no meaning here", letter.escape_debug()), hint));
            }
        };
        self.at += len;
        Ok(token)
    }

    /// Text or a quoted name. Doubled quotes inside are kept as they are; all quotes at both ends are taken off.
    fn quoted(&mut self, quote: u8) -> Result<Token, Problem> {
        let rest = self.rest();
        let mut at = 1;
        let mut close = None;
        while let Some(found) = rest[at..].iter().position(|byte| *byte == quote) {
            close = Some(at + found + 1);
            at += found + 1;
            if rest.get(at) != Some(&quote) {
                break;
            }
            at += 1;
        }
        let Some(len) = close else {
            self.at = self.text.len();
            return Err((Code::Text, format!("the quote `{}` is never closed", char::from(quote)), None));
        };
        let inner = self.text[self.at..self.at + len].trim_matches(char::from(quote)).to_string();
        self.at += len;
        Ok(if quote == b'\'' { Token::Text(inner) } else { Token::Name { text: inner, quoted: true } })
    }

    fn word(&mut self) -> Token {
        let part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@' | b'~');
        let len = self.rest().iter().take_while(part).count();
        let text = &self.text[self.at..self.at + len];
        self.at += len;
        match text {
            "div" => Token::Div,
            "mod" => Token::Mod,
            _ => match KEYWORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
                Some((_, keyword)) => Token::Keyword(*keyword),
                None => Token::Name { text: text.to_string(), quoted: false },
            },
        }
    }

    /// `12` is an integer, `1.5` and `1.5e3` are floats. At least two digits before an exponent or an `f` make them part
    /// of the number, which then has no value; after one digit they are a name of their own, as in EMQX.
    fn number(&mut self) -> Result<Token, Problem> {
        let rest = self.rest();
        let whole = digits(rest);
        let fraction = match rest.get(whole) {
            Some(b'.') => digits(&rest[whole + 1..]),
            _ => 0,
        };
        let mut len = if fraction > 0 { whole + 1 + fraction } else { whole };
        let integer = len;
        if len >= 2 {
            len += exponent(&rest[len..]);
            len += usize::from(matches!(rest.get(len), Some(b'f' | b'F' | b'd' | b'D')));
        }
        let text = &self.text[self.at..self.at + len];
        self.at += len;
        if fraction == 0 && len == integer {
            return Ok(Token::Integer(text.to_string()));
        }
        match text.parse::<f64>() {
            Ok(number) if fraction > 0 && number.is_finite() => Ok(Token::Float(number)),
            Ok(number) if fraction > 0 && number.is_infinite() => {
                Err((Code::Number, format!("`{}` is beyond the range of floats", shorten(text)), None))
            }
            _ => Err((
                Code::Number,
                format!("`{}` is not a number", shorten(text)),
                Some("a float is written with digits on both sides of the point, such as 1.5 or 1.0e5"),
            )),
        }
    }
}

fn shorten(text: &str) -> &str {
    text.get(..40).unwrap_or(text)
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn exponent(text: &[u8]) -> usize {
    let sign = match text {
        [b'e' | b'E', b'+' | b'-', ..] => 2,
        [b'e' | b'E', ..] => 1,
        _ => return 0,
    };
    match digits(&text[sign..]) {
        0 => 0,
        count => sign + count,
    }
}

/// `[1..3]` without any blank: the two bounds and the length.
fn range(text: &[u8]) -> Option<(String, String, usize)> {
    let bound = |from: usize| {
        let sign = usize::from(matches!(text.get(from), Some(b'+' | b'-')));
        let count = digits(text.get(from + sign..)?);
        let end = from + sign + count;
        (count > 0).then(|| (String::from_utf8_lossy(&text[from..end]).into_owned(), end))
    };
    let (first, end) = bound(1)?;
    let rest = text[end..].strip_prefix(b"..")?;
    let (last, end) = bound(text.len() - rest.len())?;
    (text.get(end) == Some(&b']')).then_some((first, last, end + 1))
}
