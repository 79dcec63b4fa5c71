//! From the document to typed sections, one by one, so that a problem in one does not hide those in others. Within a
//! section it takes out what is wrong and looks again. It checks nothing across sections.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::diagnostic::Complaint;
use super::document::{Document, Node, Value};
use super::nearest::nearest;
use super::problem::{Kind, Problem, Step};

/// A value that reads well but cannot hold: dotted key inside the section (`[0].key` in a list), and what is wrong.
pub type Objection = (String, String);

/// Reads sections of one document and collects what is wrong.
pub struct Reader<'a> {
    pub document: &'a Document,
    pub complaints: &'a mut Vec<Complaint>,
}

impl Reader<'_> {
    /// The section, if it is there and right.
    pub fn optional<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &str,
        check: impl Fn(&T) -> Vec<Objection>,
    ) -> Option<T> {
        let node = self.document.find(&[name])?;
        self.read(&[name], node, &check)
    }

    /// The section, or its defaults.
    pub fn section<T: for<'de> Deserialize<'de> + Default>(
        &mut self,
        name: &str,
        check: impl Fn(&T) -> Vec<Objection>,
    ) -> T {
        self.optional(name, check).unwrap_or_default()
    }

    /// All named entries of a section that are right.
    pub fn entries<T: for<'de> Deserialize<'de>>(
        &mut self,
        section: &str,
        check: impl Fn(&T) -> Vec<Objection>,
    ) -> BTreeMap<String, T> {
        self.entries_where(section, |_| true, check)
    }

    /// All named entries of a section that are right, of those whose `type` (empty if there is none) is for the caller.
    pub fn entries_where<T: for<'de> Deserialize<'de>>(
        &mut self,
        section: &str,
        is_mine: impl Fn(&str) -> bool,
        check: impl Fn(&T) -> Vec<Objection>,
    ) -> BTreeMap<String, T> {
        let document = self.document;
        if let Some(node) = document.find(&[section])
            && node.table().is_none()
            && is_mine("")
        {
            let message = format!("expected a table for each name, like [{section}.NAME], found {}", node.kind());
            self.complaints.push(Complaint::error(node.at, section, message));
        }
        let entries = document.entries(section);
        entries
            .filter(|(name, _)| is_mine(document.text(&[section, name, "type"]).unwrap_or_default()))
            .filter_map(|(name, entry)| Some((name.to_owned(), self.read(&[section, name], &entry.node, &check)?)))
            .collect()
    }

    fn read<T: for<'de> Deserialize<'de>>(
        &mut self,
        path: &[&str],
        node: &Node,
        check: &impl Fn(&T) -> Vec<Objection>,
    ) -> Option<T> {
        match all_problems::<T>(node) {
            Ok(value) => {
                let objections = check(&value);
                for (key, message) in &objections {
                    let full: Vec<&str> = path.iter().copied().chain(key.split('.')).collect();
                    self.complaints.push(Complaint::error(
                        self.document.locate(&full),
                        full.join(".").replace(".[", "["),
                        message,
                    ));
                }
                objections.is_empty().then_some(value)
            }
            Err(problems) => {
                let complaints = problems.iter().map(|problem| Complaint::from_problem(path, node.at, problem));
                self.complaints.extend(complaints);
                None
            }
        }
    }
}

/// Nobody reads more complaints than this about one entry.
const MAX_PROBLEMS: usize = 50;

/// The value, or everything that is wrong with it. After a problem a copy is mended and read again: a misspelled key
/// gets its right name, anything else is taken out. Complaints that only follow from that are left out.
fn all_problems<T: for<'de> Deserialize<'de>>(node: &Node) -> Result<T, Vec<Problem>> {
    let mut problem = match T::deserialize(node) {
        Ok(value) => return Ok(value),
        Err(problem) => problem.inside(node),
    };
    let mut copy = node.clone();
    let mut removed: Vec<Vec<Step>> = Vec::new();
    let mut problems = Vec::new();
    for _ in 0..MAX_PROBLEMS {
        let renamed = rename(&mut copy, &problem);
        let gone = if renamed { None } else { remove(&mut copy, &problem.path) };
        let stuck = !renamed && gone.is_none();
        // An objection to a table from which something was taken may be about just that.
        let follows = removed.iter().any(|gone| gone.starts_with(&problem.path));
        if !matches!(problem.kind, Kind::UnknownKey { .. }) {
            removed.extend(gone);
        }
        if !follows {
            problems.push(problem);
        }
        if stuck {
            break;
        }
        problem = match T::deserialize(&copy) {
            Ok(_) => break,
            Err(next) => next.inside(&copy),
        };
    }
    Err(problems)
}

/// Gives a misspelled key the name that was meant, if that is clear and not taken.
fn rename(node: &mut Node, problem: &Problem) -> bool {
    let Kind::UnknownKey { name, expected } = &problem.kind else { return false };
    let Some((Step::Key(key), outer)) = problem.path.split_last() else { return false };
    let Some(right) = nearest(name, expected.iter().copied()).filter(|_| key == name) else { return false };
    let Some(table) = inner(node, outer).and_then(Node::table_mut) else { return false };
    if table.contains_key(right) {
        return false;
    }
    let entry = table.remove(key);
    entry.map(|entry| table.insert(right.to_owned(), entry)).is_some()
}

/// Takes out the innermost key of the path; answers with the path of what is gone.
fn remove(node: &mut Node, path: &[Step]) -> Option<Vec<Step>> {
    let last = path.iter().rposition(|step| matches!(step, Step::Key(_)))?;
    let Step::Key(key) = &path[last] else { return None };
    inner(node, &path[..last])?.table_mut()?.remove(key)?;
    Some(path[..=last].to_vec())
}

fn inner<'a>(node: &'a mut Node, path: &[Step]) -> Option<&'a mut Node> {
    path.iter().try_fold(node, |node, step| match (step, &mut node.value) {
        (Step::Key(key), Value::Table(table)) => Some(&mut table.get_mut(key)?.node),
        (Step::Index(index), Value::Array(items)) => items.get_mut(*index),
        _ => None,
    })
}
