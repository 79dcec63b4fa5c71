//! From the words and the arena that a guest returned to checked outcomes.
//!
//! It must never trust a word: an offset, a count or a text that is wrong is an error, not a panic.

use super::super::verdict::MAX_RECORDS;
use super::{Arc, Bytes, NONE, Names, Outcomes, PAIR_WORDS, Patch, PluginError, Scratch, Verdict};

const KEEP: u32 = 0;
const REPLACE_ONE: u32 = 1;
const REPLACE_MANY: u32 = 2;
const DROP: u32 = 3;
const REFUSE: u32 = 4;

const TOPIC: u32 = 1;
const KEY: u32 = 1 << 1;
const VALUE: u32 = 1 << 2;
const TIMESTAMP: u32 = 1 << 3;
const NO_TIMESTAMP: u32 = 1 << 4;
const CLEAR_HEADERS: u32 = 1 << 5;
const APPEND_HEADERS: u32 = 1 << 6;
const KNOWN: u32 = (1 << 7) - 1;

/// Appends one verdict for each of the `expected` messages. After an error `verdicts` may hold some of them.
pub(in super::super) fn verdicts(
    scratch: &mut Scratch,
    answer: Outcomes,
    expected: usize,
    verdicts: &mut Vec<Verdict>,
) -> Result<(), PluginError> {
    let mut reader =
        Reader { words: &answer.words, next: 0, arena: answer.arena.into(), names: &mut scratch.names, records: 0 };
    let mut got = 0;
    while reader.next < reader.words.len() {
        if got == expected {
            return Err(PluginError::WrongOutcomeCount { expected, got: expected + 1 });
        }
        verdicts.push(reader.verdict().map_err(|flaw| reader.malformed(got, flaw))?);
        got += 1;
    }
    if got < expected {
        return Err(PluginError::WrongOutcomeCount { expected, got });
    }
    Ok(())
}

struct Reader<'a> {
    words: &'a [u32],
    next: usize,
    arena: Bytes,
    names: &'a mut Names,
    /// Read so far, in all outcomes.
    records: usize,
}

/// What is wrong at the reader's position.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    EndsEarly,
    Range,
    Text,
    None,
    Kind(u32),
    Flags(u32),
    Nothing,
    EmptyTopic,
    TooMany,
}

impl Reader<'_> {
    fn verdict(&mut self) -> Result<Verdict, Flaw> {
        match self.word()? {
            KEEP => Ok(Verdict::Keep),
            REPLACE_ONE => Ok(Verdict::Change(self.patch()?)),
            REPLACE_MANY => match self.word()? {
                0 => Err(Flaw::Nothing),
                // Not reserved in advance: the count is the guest's claim.
                count => Ok(Verdict::Split((0..count).map(|_| self.patch()).collect::<Result<_, _>>()?)),
            },
            DROP => Ok(Verdict::Drop(self.text()?.to_owned())),
            REFUSE => Ok(Verdict::Refuse(self.text()?.to_owned())),
            other => Err(Flaw::Kind(other)),
        }
    }

    fn patch(&mut self) -> Result<Patch, Flaw> {
        self.records += 1;
        if self.records > MAX_RECORDS {
            return Err(Flaw::TooMany);
        }
        let flags = self.word()?;
        let contradiction = flags & TIMESTAMP != 0 && flags & NO_TIMESTAMP != 0;
        if flags & !KNOWN != 0 || contradiction {
            return Err(Flaw::Flags(flags));
        }
        let mut patch = Patch { clear_headers: flags & CLEAR_HEADERS != 0, ..Patch::default() };
        if flags & TOPIC != 0 {
            let topic = self.name()?;
            if topic.is_empty() {
                return Err(Flaw::EmptyTopic);
            }
            patch.topic = Some(topic);
        }
        if flags & KEY != 0 {
            patch.key = Some(self.optional_bytes()?);
        }
        if flags & VALUE != 0 {
            patch.value = Some(self.optional_bytes()?);
        }
        if flags & TIMESTAMP != 0 {
            let (low, high) = (self.word()?, self.word()?);
            patch.timestamp = Some(Some(((u64::from(high) << 32) | u64::from(low)) as i64));
        }
        if flags & NO_TIMESTAMP != 0 {
            patch.timestamp = Some(None);
        }
        if flags & APPEND_HEADERS != 0 {
            let count = self.word()? as usize;
            if count > self.words.len().saturating_sub(self.next) / PAIR_WORDS {
                return Err(Flaw::EndsEarly);
            }
            patch.append_headers.reserve_exact(count);
            for _ in 0..count {
                let name = self.name()?;
                patch.append_headers.push((name, self.optional_bytes()?));
            }
        }
        Ok(patch)
    }

    fn word(&mut self) -> Result<u32, Flaw> {
        let word = *self.words.get(self.next).ok_or(Flaw::EndsEarly)?;
        self.next += 1;
        Ok(word)
    }

    /// A range of the arena as start and end; `None` for `none`.
    fn range(&mut self) -> Result<Option<(usize, usize)>, Flaw> {
        let (offset, length) = (self.word()?, self.word()?);
        if length == NONE {
            return Ok(None);
        }
        let (start, end) = (offset as usize, offset as usize + length as usize);
        if end > self.arena.len() { Err(Flaw::Range) } else { Ok(Some((start, end))) }
    }

    fn optional_bytes(&mut self) -> Result<Option<Bytes>, Flaw> {
        Ok(self.range()?.map(|(start, end)| self.arena.slice(start..end)))
    }

    fn text(&mut self) -> Result<&str, Flaw> {
        let (start, end) = self.range()?.ok_or(Flaw::None)?;
        std::str::from_utf8(&self.arena[start..end]).map_err(|_| Flaw::Text)
    }

    fn name(&mut self) -> Result<Arc<str>, Flaw> {
        let (start, end) = self.range()?.ok_or(Flaw::None)?;
        let text = std::str::from_utf8(&self.arena[start..end]).map_err(|_| Flaw::Text)?;
        Ok(self.names.shared(text))
    }

    fn malformed(&self, message: usize, flaw: Flaw) -> PluginError {
        let what = match flaw {
            Flaw::EndsEarly => "the words end in the middle of an outcome".into(),
            Flaw::Range => format!("a range reaches beyond the arena of {} bytes", self.arena.len()),
            Flaw::Text => "a text is not UTF-8".into(),
            Flaw::None => "a text or name is none".into(),
            Flaw::Kind(kind) => format!("{kind} is no kind of outcome"),
            Flaw::Flags(flags) => format!("{flags:#x} are no valid flags of a patch"),
            Flaw::Nothing => "replaced by nothing; use drop".into(),
            Flaw::EmptyTopic => "the topic is empty".into(),
            Flaw::TooMany => format!("more than {MAX_RECORDS} records from one batch"),
        };
        PluginError::MalformedOutcome(format!("message {message}, before word {}: {what}", self.next))
    }
}
