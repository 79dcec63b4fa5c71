//! Complaints about a rule's text: a code that is never reused, the place, what is wrong and how to put it right.
//!
//! Never holds a message's content; what it quotes is the rule itself.

use std::fmt;
use std::ops::Range;

/// What is wrong, in a form that programs may depend on. Codes are never given a new meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The text is empty, too long, or ends inside a quote.
    Text,
    /// A character that no word of the language begins with.
    Character,
    /// A number in a form that has no value.
    Number,
    /// Words in an order that the grammar does not allow.
    Syntax,
    /// A condition where a value is needed.
    BooleanAsValue,
    /// `FROM` is missing.
    NoFrom,
    /// A `FROM` entry that is no topic filter.
    Filter,
    /// More nesting, fields or elements than the limits allow.
    Limit,
    /// A placeholder of a template that cannot be.
    Template,
    /// Warning: no function has this name.
    UnknownFunction,
    /// Warning: the function takes another number of arguments.
    Arity,
    /// Warning: this part raises whenever it is evaluated.
    AlwaysRaises,
    /// Warning: the name is no column of the event and no alias.
    UnknownName,
    /// Warning: this condition can never hold.
    NeverTrue,
    /// Warning: no message matches this entry of FROM.
    NeverFires,
}

impl Code {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Text => "R0001",
            Code::Character => "R0002",
            Code::Number => "R0003",
            Code::Syntax => "R0004",
            Code::BooleanAsValue => "R0005",
            Code::NoFrom => "R0006",
            Code::Filter => "R0007",
            Code::Limit => "R0008",
            Code::Template => "R0009",
            Code::UnknownFunction => "R0101",
            Code::Arity => "R0102",
            Code::AlwaysRaises => "R0103",
            Code::UnknownName => "R0104",
            Code::NeverTrue => "R0105",
            Code::NeverFires => "R0106",
        }
    }

    /// Warnings do not keep a rule from running.
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(
            self,
            Code::UnknownFunction
                | Code::Arity
                | Code::AlwaysRaises
                | Code::UnknownName
                | Code::NeverTrue
                | Code::NeverFires
        )
    }
}

/// Bytes of the text as the user wrote it.
pub type Span = Range<usize>;

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
}

impl Diagnostic {
    #[must_use]
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, span, message: message.into(), hint: None }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// The complaint with the line it is about and the place underlined; ends with a line break.
    #[must_use]
    pub fn render(&self, text: &str) -> String {
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line_number = text[..line_start].matches('\n').count() + 1;
        let line = &text[line_start..line_end];
        let before = text[line_start..start].chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect::<String>();
        let marks = text[start..end.min(line_end)].chars().count().max(1);
        let gutter = " ".repeat(line_number.to_string().len());
        let level = if self.code.is_warning() { "warning" } else { "error" };
        let mut out = format!("{level}[{}]: {}\n", self.code.as_str(), self.message);
        out += &format!("{gutter} |\n{line_number} | {line}\n{gutter} | {before}{}\n", "^".repeat(marks));
        if let Some(hint) = &self.hint {
            out += &format!("{gutter} = {hint}\n");
        }
        out
    }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.code.as_str(), self.span.start, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The candidate nearest to `word`, if a slip of the keys explains the difference: at most a third of the letters.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const MAX_LETTERS: usize = 48;
    if word.len() > MAX_LETTERS {
        return None;
    }
    let patience = (word.chars().count() / 3).clamp(1, 3);
    let word = word.to_ascii_lowercase();
    let ranked = candidates.into_iter().map(|name| (distance(&word, &name.to_ascii_lowercase()), name));
    ranked.filter(|(mistakes, _)| *mistakes <= patience).min().map(|(_, name)| name)
}

/// Letters inserted, left out, replaced, or two neighbours swapped.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut before = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (row[j] + usize::from(x != *y)).min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && before == Some(*y) && b[j - 1] == x {
                least = least.min(above[j - 1] + 1);
            }
            next.push(least);
        }
        above = std::mem::replace(&mut row, next);
        before = Some(x);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underlines_the_place() {
        let text = "SELECT a\nFROM \"t\"\nWHERE\tä !";
        let at = text.find('!').unwrap_or(0);
        let shown =
            Diagnostic::new(Code::Character, at..at + 1, "unknown character `!`").with_hint("try `!=`").render(text);
        assert_eq!(
            shown,
            "error[R0002]: unknown character `!`\n  |\n3 | WHERE\tä !\n  |      \t  ^\n  = try `!=`\n".to_string()
        );
    }

    #[test]
    fn renders_any_span_of_any_text() {
        for (text, span) in [("", 0..9), ("ä", 1..1), ("a\nb", 1..3), ("abc", 3..3)] {
            assert!(Diagnostic::new(Code::Syntax, span, "x").render(text).contains('^'), "{text}");
        }
    }

    #[test]
    fn finds_what_was_meant() {
        assert_eq!(nearest("LOWER", ["upper", "lower"]), Some("lower"));
        assert_eq!(nearest("uper", ["upper", "lower"]), Some("upper"));
        assert_eq!(nearest("form", ["FROM", "WHERE"]), Some("FROM"));
        assert_eq!(nearest("clinetid", ["clientid", "client_attrs"]), Some("clientid"));
        assert_eq!(nearest("format", ["upper", "lower"]), None);
    }
}
