//! Sentence segmentation with quotation marks.

/// The sentences of a text, without the white space between them.
///
/// A full stop, exclamation or question mark ends a sentence outside quotation marks. Inside them it does so only if the closing mark follows and
/// the text after it does not continue in lower case:
/// `"Why?" asked Tom.` is one sentence, `"Why?" "Look up."` is two.
pub fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (sentence, after) = rest.split_at(first_end(rest));
        rest = after.trim_start();
        Some(sentence)
    })
}

/// Length of the first sentence; a text without an end is one sentence.
fn first_end(text: &str) -> usize {
    let mut quoted = false;
    let mut stopped = false; // the previous character was . ! or ?
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        let stops = matches!(c, '.' | '!' | '?');
        if c == '"' {
            quoted = !quoted;
            if !quoted && stopped && !continues(after) {
                return at + 1;
            }
        } else if stops && !quoted && !after.starts_with(['.', '!', '?']) {
            return at + 1;
        }
        stopped = stops;
    }
    text.len()
}

/// Whether the text after a closing quotation mark continues the sentence.
fn continues(after: &str) -> bool {
    after.trim_start().starts_with(|c: char| c.is_lowercase())
}

#[cfg(test)]
mod tests {
    use super::sentences;

    #[test]
    fn quotation_marks_are_respected() {
        let text = r#"Tom hid. "Why?" asked an owl. "I lost it!" cried Tom. "Oh." "Look," it said, "up." All was well"#;
        let parts: Vec<_> = sentences(text).collect();
        assert_eq!(
            parts,
            ["Tom hid.", r#""Why?" asked an owl."#, r#""I lost it!" cried Tom."#, r#""Oh.""#, r#""Look," it said, "up.""#, "All was well",]
        );
    }

    #[test]
    fn unusual_texts_keep_all_sentences() {
        assert_eq!(sentences("  \n ").count(), 0);
        assert_eq!(sentences("Oh... no!").collect::<Vec<_>>(), ["Oh...", "no!"]);
        assert_eq!(sentences("\"never closed. And on").count(), 1);
        assert_eq!(sentences("Caf\u{e9}. \u{2603}!").count(), 2);
    }
}
