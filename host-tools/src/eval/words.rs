//! Word error rate: words of a transcript and the edit distance between two transcripts.

/// The words of a text in the form that is compared: lower case, without punctuation.
///
/// Letters and digits make words; apostrophes are removed, so that `don't` and `dont` are equal; every other character separates words. Numbers stay as
/// they are written: `9` and `nine` differ.
pub fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace(['\'', '\u{2019}', '\u{2bc}'], "");
    lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Fewest words to insert, delete or replace that turn one sequence of words into another (Levenshtein distance).
pub fn word_edits(reference: &[String], found: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=found.len()).collect();
    for (index, word) in reference.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (at, other) in found.iter().enumerate() {
            let replaced = diagonal + usize::from(word != other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[found.len()]
}

#[cfg(test)]
mod tests {
    use super::{word_edits, words};

    #[test]
    fn case_and_punctuation_do_not_count() {
        assert_eq!(words(" And so, my fellow-Americans: ask NOT!"), ["and", "so", "my", "fellow", "americans", "ask", "not"]);
        assert_eq!(words("Don\u{2019}t say \u{201e}\u{dc}ber\u{201c} 3.5 times\u{2026}"), ["dont", "say", "\u{fc}ber", "3", "5", "times"]);
        assert!(words(" -- ... ").is_empty());
    }

    #[test]
    fn edits_are_insertions_deletions_and_replacements() {
        let edits = |a: &str, b: &str| word_edits(&words(a), &words(b));
        for (a, b, count) in [
            ("", "", 0),
            ("a b c", "", 3),
            ("", "a b", 2),
            ("the boat to the island", "the boat took the island", 1),
            ("a b c d", "b c d", 1),
            ("a b c d", "a b x c d", 1),
            ("a b c", "c a b", 2),
        ] {
            assert_eq!(edits(a, b), count, "{a:?} {b:?}");
        }
    }
}
