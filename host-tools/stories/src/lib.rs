//! Short stories generated from a grammar, and a recognizer for the same grammar.
//!
//! A model of a few hundred kilobytes can learn these stories, and because the grammar can also parse them, the output of such a model can be
//! *checked*: the fraction of its sentences in the grammar is a number.
//!
//! The grammar is data (`grammar.txt`): tables of words whose columns agree with each other, and plots of consecutive beats. The generator and the
//! recognizer walk the same grammar, so they cannot diverge.
//!
//! ```
//! let story = attoformer_stories::story(7);
//! assert_eq!(story, attoformer_stories::story(7)); // on every machine
//! for sentence in attoformer_stories::sentences(&story) {
//!     attoformer_stories::parse_sentence(sentence).expect("the grammar wrote it");
//! }
//! assert!(attoformer_stories::parse_sentence("The kite felt a bear.").is_err());
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod compile;
mod grammar;
mod rng;
mod split;
mod walk;

pub use compile::GrammarError;
pub use grammar::Grammar;
pub use rng::Rng;
pub use split::sentences;
pub use walk::ParseError;

/// Generates the story of a seed: ASCII, one paragraph, the same text on every machine.
pub fn story(seed: u64) -> String {
    Grammar::tales().story(seed)
}

/// Generates `stories` stories from one seed.
pub fn corpus(seed: u64, stories: usize) -> impl Iterator<Item = String> {
    let mut seeds = Rng::new(seed);
    (0..stories).map(move |_| story(seeds.next_u64()))
}

/// Checks that a sentence belongs to the grammar.
///
/// # Errors
/// [`ParseError`] with the longest prefix that belongs to the grammar.
pub fn parse_sentence(sentence: &str) -> Result<(), ParseError> {
    Grammar::tales().parse_sentence(sentence)
}

/// Checks that a text is one whole story: every beat of a plot in order, with one cast throughout.
///
/// # Errors
/// [`ParseError`] with the longest prefix that belongs to a story.
pub fn parse_story(text: &str) -> Result<(), ParseError> {
    Grammar::tales().parse_story(text)
}

/// Counts the sentences of a text that belong to the grammar, and all its sentences: `(parsed, total)`.
pub fn score(text: &str) -> (usize, usize) {
    sentences(text).fold((0, 0), |(parsed, total), sentence| (parsed + usize::from(parse_sentence(sentence).is_ok()), total + 1))
}
