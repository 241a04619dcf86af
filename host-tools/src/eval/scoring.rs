//! Scores the tokens of a sequence with the session of an image, and with that of a reference.

use std::path::Path;

use attoformer::image::{Architecture, InputStem};
use attoformer::{Parallel, Session};

use super::tally::Score;
use crate::engine::OpenImage;
use crate::error::Error;

/// Positions whose logits are in memory at a time: those that a session processes together.
const BLOCK: usize = 128;
/// Logits of a block below which its rows are not shared among threads.
const SPLIT_MIN: usize = 1 << 18;

/// An image or a reference that cannot be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScoringError {
    /// The data have no token to score.
    #[error("the text has no token to predict")]
    NoTokens,
    /// Image and reference have different vocabularies.
    #[error("its vocabulary has {vocab} tokens, that of {image} has {expected}; compare models with the same tokenizer")]
    Vocabulary {
        /// Vocabulary of the reference.
        vocab: u32,
        /// File of the image.
        image: String,
        /// Vocabulary of the image.
        expected: u32,
    },
    /// Image and reference are models of different kinds.
    #[error("it is another kind of model than {image}; compare models of the same kind")]
    Kind {
        /// File of the image.
        image: String,
    },
    /// A text was given to an encoder-decoder.
    #[error("an encoder-decoder predicts the translation of a source: use --pairs F.tsv (source, tab, target) instead of --text")]
    NeedsPairs,
    /// Text was given to a model that reads audio.
    #[error("this model reads audio: use `atto eval transcripts`")]
    NeedsAudio,
    /// Pairs were given to a model without an encoder.
    #[error("a decoder reads no source: use --text instead of --pairs")]
    NeedsText,
    /// A model that predicts no tokens.
    #[error("an encoder predicts no next token: use `atto eval sts` or `atto eval accuracy`")]
    Encoder,
}

/// The kind of data that a model is scored on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// A plain text.
    Text,
    /// Sources and targets.
    Pairs,
    /// Speech.
    Audio,
}

/// Checks that an image can be scored on this kind of data, and compared with the reference if there is one.
///
/// # Errors
/// [`ScoringError`] with the image or the reference.
pub fn check(open: OpenImage<'_>, reference: Option<OpenImage<'_>>, data: Data) -> Result<(), Error> {
    let config = open.image.config();
    let audio = config.input_stem != InputStem::Tokens;
    let fault = match (config.architecture, data) {
        (Architecture::Encoder, Data::Text | Data::Pairs) => Some(ScoringError::Encoder),
        (Architecture::EncoderDecoder, Data::Text | Data::Pairs) if audio => Some(ScoringError::NeedsAudio),
        (Architecture::EncoderDecoder, Data::Text) => Some(ScoringError::NeedsPairs),
        (Architecture::Decoder, Data::Pairs) => Some(ScoringError::NeedsText),
        _ => None,
    };
    if let Some(fault) = fault {
        return Err(Error::file(open.path)(fault));
    }
    let Some(other) = reference else { return Ok(()) };
    let (image, found) = (open.path.display().to_string(), other.image.config());
    if found.architecture != config.architecture || found.input_stem != config.input_stem {
        return Err(Error::file(other.path)(ScoringError::Kind { image }));
    }
    if found.vocab != config.vocab {
        return Err(Error::file(other.path)(ScoringError::Vocabulary { vocab: found.vocab, image, expected: config.vocab }));
    }
    Ok(())
}

/// A session with its file, which errors name, and the logits of one block.
struct Model<'s, 'a> {
    session: &'s mut Session<'a>,
    path: &'s Path,
    logits: Vec<f32>,
}

impl<'s, 'a> Model<'s, 'a> {
    fn new(session: &'s mut Session<'a>, path: &'s Path) -> Self {
        Model { session, path, logits: Vec::new() }
    }

    /// Feeds tokens and keeps the logits after each but the first `skipped`.
    fn feed(&mut self, tokens: &[u32], skipped: usize) -> Result<(), Error> {
        let Model { session, path, logits } = self;
        logits.clear();
        let mut index = 0;
        let fed = session.prefill_each(tokens, |_, row| {
            if index >= skipped {
                logits.extend_from_slice(row);
            }
            index += 1;
        });
        fed.map_err(Error::engine(path))
    }
}

/// The sessions of an image and of its reference, which score the same tokens.
pub struct Scorer<'s, 'a, 'b> {
    model: Model<'s, 'a>,
    reference: Option<Model<'s, 'b>>,
    vocab: usize,
    parallel: &'static dyn Parallel,
}

impl<'s, 'a, 'b> Scorer<'s, 'a, 'b> {
    /// Creates a scorer from sessions with the same vocabulary; `parallel` shares the scoring of a block.
    pub fn new(
        (session, path): (&'s mut Session<'a>, &'s Path),
        reference: Option<(&'s mut Session<'b>, &'s Path)>,
        parallel: &'static dyn Parallel,
    ) -> Self {
        let vocab = session.config().vocab as usize;
        let reference = reference.map(|(session, path)| Model::new(session, path));
        Scorer { model: Model::new(session, path), reference, vocab, parallel }
    }

    /// Runs a step, such as encoding a source, with the image's session, then with the reference's.
    ///
    /// # Errors
    /// Those of the step.
    pub fn each(&mut self, mut step: impl FnMut(&mut Session<'_>, &Path) -> Result<(), Error>) -> Result<(), Error> {
        self.with_model(&mut step)?;
        self.with_reference(step).unwrap_or(Ok(()))
    }

    /// Runs a step with the image's session.
    pub fn with_model<T>(&mut self, step: impl FnOnce(&mut Session<'_>, &Path) -> T) -> T {
        step(self.model.session, self.model.path)
    }

    /// Runs a step with the reference's session; `None` if there is no reference.
    pub fn with_reference<T>(&mut self, step: impl FnOnce(&mut Session<'_>, &Path) -> T) -> Option<T> {
        self.reference.as_mut().map(|reference| step(reference.session, reference.path))
    }

    /// Scores a sequence from an empty KV cache: each token after the first `given`, given those before it. The encoder output of an encoder-decoder
    /// stays.
    ///
    /// # Errors
    /// Those of the engine, with the image or the reference.
    pub fn score(&mut self, tokens: &[u32], given: usize) -> Result<Vec<Score>, Error> {
        let mut scores = Vec::new();
        self.each(|session, _| {
            session.reset();
            Ok(())
        })?;
        let (given, last) = (given.max(1), tokens.len().saturating_sub(1));
        for start in (0..last).step_by(BLOCK) {
            let end = (start + BLOCK).min(last);
            // The logits after the token before the first scored one are the first that count.
            let first = (given - 1).clamp(start, end);
            let (inputs, targets) = (&tokens[start..end], &tokens[first + 1..=end]);
            self.model.feed(inputs, first - start)?;
            if let Some(reference) = &mut self.reference {
                reference.feed(inputs, first - start)?;
            }
            let reference = self.reference.as_ref().map(|reference| &reference.logits[..]);
            let done = scores.len();
            scores.resize(done + targets.len(), Score::default());
            let rows = Rows { logits: &self.model.logits, reference, vocab: self.vocab, targets };
            rows.score(&mut scores[done..], self.parallel, self.parallel.threads());
        }
        Ok(scores)
    }
}

/// Logits of consecutive positions and the tokens that follow them.
#[derive(Clone, Copy)]
struct Rows<'r> {
    logits: &'r [f32],
    reference: Option<&'r [f32]>,
    vocab: usize,
    targets: &'r [u32],
}

impl Rows<'_> {
    /// Scores all rows, shared among `threads` threads.
    fn score(self, scores: &mut [Score], parallel: &dyn Parallel, threads: usize) {
        if threads > 1 && self.targets.len() > 1 && self.logits.len() >= SPLIT_MIN {
            let middle = self.targets.len() / 2;
            let (first, second) = self.split(middle);
            let (scores, later) = scores.split_at_mut(middle);
            let halves = (threads.div_ceil(2), threads / 2);
            return parallel.join(&mut || first.score(scores, parallel, halves.0), &mut || second.score(later, parallel, halves.1));
        }
        for (index, (score, &target)) in scores.iter_mut().zip(self.targets).enumerate() {
            let row = index * self.vocab..(index + 1) * self.vocab;
            *score = Score::new(&self.logits[row.clone()], self.reference.map(|reference| &reference[row]), target);
        }
    }

    fn split(self, rows: usize) -> (Self, Self) {
        let (logits, targets) = (self.logits.split_at(rows * self.vocab), self.targets.split_at(rows));
        let reference = self.reference.map(|reference| reference.split_at(rows * self.vocab));
        (
            Rows { logits: logits.0, reference: reference.map(|halves| halves.0), targets: targets.0, ..self },
            Rows { logits: logits.1, reference: reference.map(|halves| halves.1), targets: targets.1, ..self },
        )
    }
}
