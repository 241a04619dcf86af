//! Little stories from a grammar, and a recogniser for the same grammar.
//!
//! A model as small as a few hundred kilobytes can learn these stories whole, and because the
//! grammar that wrote them can also read them, what such a model writes can be *checked*: the
//! share of its sentences that belong to the grammar is a number, not an impression.
//!
//! The grammar is data (`grammar.txt`): tables of words whose columns agree with each other, and
//! plots whose beats follow from each other. One walker tells a story from it and one recognises
//! a sentence by it, so the two cannot drift apart.
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

/// The story of a seed: plain ASCII, one paragraph, the same text on every machine.
pub fn story(seed: u64) -> String {
    Grammar::tales().story(seed)
}

/// `stories` stories, all of them fixed by `seed`.
pub fn corpus(seed: u64, stories: usize) -> impl Iterator<Item = String> {
    let mut seeds = Rng::new(seed);
    (0..stories).map(move |_| story(seeds.next_u64()))
}

/// Whether one sentence belongs to the grammar.
///
/// # Errors
/// [`ParseError`] says how far the sentence can be read as one of the grammar's.
pub fn parse_sentence(sentence: &str) -> Result<(), ParseError> {
    Grammar::tales().parse_sentence(sentence)
}

/// Whether a text is one whole story: every beat of one plot in order, with one cast throughout.
///
/// # Errors
/// [`ParseError`] says how far the text can be read as a story.
pub fn parse_story(text: &str) -> Result<(), ParseError> {
    Grammar::tales().parse_story(text)
}

/// How many of a text's sentences belong to the grammar, and how many it has: `(parsed, total)`.
pub fn score(text: &str) -> (usize, usize) {
    sentences(text).fold((0, 0), |(parsed, total), sentence| (parsed + usize::from(parse_sentence(sentence).is_ok()), total + 1))
}
