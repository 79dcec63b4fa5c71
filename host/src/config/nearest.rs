//! The nearest right name for a wrong one. Names only: what it is given may be printed, so never hand it a value.

/// The candidate that `word` was most likely meant to be, if one is near enough: at most a third of the letters wrong.
/// A swap of two neighbours counts as one mistake, and case and the kind of dash count as none.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = fold(word);
    let patience = (word.len() / 3).clamp(1, 4);
    let ranked = candidates.into_iter().map(|name| (distance(&word, &fold(name)), name));
    ranked.filter(|(mistakes, _)| *mistakes <= patience).min().map(|(_, name)| name)
}

/// Letters inserted, left out, replaced or swapped with their neighbour (optimal string alignment).
pub fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Longer words are not compared letter by letter to their end: nobody mistypes that much.
const MAX_LETTERS: usize = 64;

pub fn fold(word: &str) -> Vec<char> {
    word.chars().take(MAX_LETTERS).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["bootstrap_hosts", "connector", "topic", "to-testtopic-in", "ack"];
        for (word, expected) in [
            ("bootstrap_host", Some("bootstrap_hosts")),
            ("conector", Some("connector")),
            ("tpoic", Some("topic")),
            ("ACK", Some("ack")),
            ("to_testtopic_in", Some("to-testtopic-in")),
            ("compression", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
    }

    #[test]
    fn counts_mistakes() {
        for (a, b, mistakes) in
            [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("abcd", "abd", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(&fold(a), &fold(b)), mistakes, "{a} {b}");
        }
    }
}
