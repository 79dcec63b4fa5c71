//! Names that stand for nothing: neither a column of a publication nor what an earlier field is called. EMQX takes them
//! for undefined without a word, so a slip of the keys makes a rule that never fires.

use super::super::ast::{Body, Expr, Field, Kind, Path, Statement};
use super::super::diagnostic::{Code, Diagnostic, Span, nearest};
use super::super::event::Column;

/// Warns once of each name. Events other than publications have columns of their own; their rules are left alone.
pub(super) fn unknown(statement: &Statement, warnings: &mut Vec<Diagnostic>) {
    if statement.sources.iter().any(|(topic, _)| topic.starts_with('$')) {
        return;
    }
    let mut names = Names { known: Vec::new(), warnings };
    match &statement.body {
        Body::Select(fields) => names.fields(fields),
        Body::Foreach { fields, each, incase } => {
            names.fields(fields);
            let outside = names.known.clone();
            if let Some(Field::Expr { alias: None, .. }) = fields.last() {
                names.known.push(String::from("item"));
            }
            incase.iter().for_each(|condition| names.expr(condition));
            each.iter().for_each(|fields| names.fields(fields));
            names.known = outside;
        }
    }
    statement.condition.iter().for_each(|condition| names.expr(condition));
}

struct Names<'a> {
    known: Vec<String>,
    warnings: &'a mut Vec<Diagnostic>,
}

impl Names<'_> {
    fn fields(&mut self, fields: &[Field]) {
        for field in fields {
            let Field::Expr { expr, alias } = field else { continue };
            self.expr(expr);
            match (alias.as_ref().map(|alias| &alias.kind), &expr.kind) {
                (Some(Kind::Path(path)), _) | (None, Kind::Path(path) | Kind::Slice(path, ..)) => {
                    self.known.push(path.name.clone());
                }
                (None, Kind::Const(crate::value::Value::Str(text))) => {
                    self.known.push(String::from_utf8_lossy(text).into_owned());
                }
                _ => {}
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Path(path) | Kind::Slice(path, ..) => self.path(path, &expr.span),
            _ => expr.for_each_part(|part| self.expr(part)),
        }
    }

    fn path(&mut self, path: &Path, span: &Span) {
        let name = path.name.as_str();
        let known = Column::of(name.as_bytes()).is_some() || self.known.iter().any(|known| known == name);
        // Another check may have said more about this place.
        if known || self.warnings.iter().any(|warning| warning.span == *span) {
            return;
        }
        let columns = Column::ALL.iter().map(|column| column.name());
        let near = nearest(name, columns.chain(self.known.iter().map(String::as_str)));
        let hint = match (name, near) {
            ("retain" | "dup", _) => format!("use flags.{name}"),
            (_, Some(near)) => format!("did you mean `{near}`?"),
            ("item", None) => String::from("an element is called `item` only where FOREACH gives it no alias"),
            (_, None) => format!("a field of the payload is written payload.{name}"),
        };
        let message = format!("`{name}` is neither a column of the event nor an earlier alias; it is always undefined");
        // The whole path is underlined; where that was several lines, its first name would do no better.
        self.warnings.push(Diagnostic::new(Code::UnknownName, span.clone(), message).with_hint(hint));
        self.known.push(name.to_owned());
    }
}
