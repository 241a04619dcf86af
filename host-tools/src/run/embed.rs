//! Texts to embeddings.

use attoformer::internals::numeric;
use attoformer::{Encoding, Error, Session, Tokenizer};

use super::chunks::Chunk;
use crate::engine::{OpenImage, Setup};
use crate::threads::map_in_order;

/// Embedding of one text.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// Embedding `(d_model)`, or the logits of a classifier.
    pub values: Vec<f32>,
    /// Tokens that were encoded, special tokens included.
    pub tokens: usize,
    /// Tokens truncated at the end of the text because they exceed the context.
    pub truncated: usize,
}

/// Embeds one text, tokenized as the model expects it; a text that exceeds the context is truncated.
///
/// # Errors
/// [`Error::NoTokenizer`], [`Error::Architecture`], or another error of the engine.
pub fn embed(session: &mut Session, text: &str, l2_normalize: bool) -> Result<Embedding, Error> {
    let mut only = embed_batch(session, &[text], l2_normalize).map_err(|failed| failed.error)?;
    only.pop().ok_or(Error::EmptyPrompt)
}

/// The first text of a batch that cannot be embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct TextError {
    /// Index of the text, from 0.
    pub index: usize,
    /// Error of the engine.
    pub error: Error,
}

/// Embeds several texts as one packed batch; each has the same bits as from [`embed`].
///
/// # Errors
/// [`TextError`] for the first text that fails; see [`embed`].
pub fn embed_batch(session: &mut Session, texts: &[&str], l2_normalize: bool) -> Result<Vec<Embedding>, TextError> {
    // An empty batch fails if the model is no encoder, before any text is read.
    let able = session.encode_batch(&[], &[], |_, _| {}).and_then(|()| session.image().tokenizer());
    let tokenizer = able.map_err(|error| TextError { index: 0, error })?;
    let context = session.remaining();
    let (mut tokens, mut lengths, mut made) = (Vec::new(), Vec::new(), Vec::with_capacity(texts.len()));
    for (index, text) in texts.iter().enumerate() {
        let start = tokens.len();
        tokens.resize(start + context, 0);
        let encoding = encode_truncated(&tokenizer, text, &mut tokens[start..]).map_err(|error| TextError { index, error })?;
        tokens.truncate(start + encoding.tokens);
        lengths.push(encoding.tokens);
        made.push(Embedding { values: Vec::new(), tokens: encoding.tokens, truncated: encoding.truncated });
    }
    let normalizes = l2_normalize && !session.config().l2_normalize;
    let mut done = 0;
    let encoded = session.encode_batch(&tokens, &lengths, |index, row| {
        let values = &mut made[index].values;
        values.extend_from_slice(row);
        if normalizes {
            numeric::l2_normalize(values);
        }
        done = index + 1;
    });
    encoded.map_err(|error| TextError { index: done, error })?;
    Ok(made)
}

/// Encodes a whole text with its special tokens into `out`; truncates the end of a longer text, as the reference libraries of these models do. The
/// engine itself truncates WordPiece only, whose words it splits one by one.
///
/// # Errors
/// Those of the tokenizer: `out` does not hold the special tokens.
pub fn encode_truncated(tokenizer: &Tokenizer, text: &str, out: &mut [u32]) -> Result<Encoding, Error> {
    match tokenizer.encode_with_special_tokens(text, out) {
        Err(Error::BufferTooSmall { .. }) if out.len() > 2 => {}
        encoded => return encoded,
    }
    let mut all = vec![0; tokenizer.max_tokens(text.len())];
    let count = tokenizer.encode_with_special_tokens(text, &mut all)?.tokens;
    if let Some(out) = out.get_mut(..count) {
        // The tokens fit; only the characters of a long word did not.
        out.copy_from_slice(&all[..count]);
        return Ok(Encoding { tokens: count, truncated: 0 });
    }
    let kept = out.len() - usize::from(tokenizer.add_eos());
    out[..kept].copy_from_slice(&all[..kept]);
    out[kept..].fill(tokenizer.eos());
    Ok(Encoding { tokens: out.len(), truncated: count - out.len() })
}

/// Embedding of many texts on several threads.
#[derive(Clone, Copy, Debug)]
pub struct EmbedJob<'a> {
    /// The encoder.
    pub open: OpenImage<'a>,
    /// Setup of each thread's session.
    pub setup: Setup,
    /// Threads to use at most; no value depends on it.
    pub threads: usize,
    /// Whether to scale each embedding to length 1.
    pub l2_normalize: bool,
}

impl EmbedJob<'_> {
    /// Embeds all chunks and passes each with its embeddings to `take`, in order. `blame` turns an error of the engine into one that names the text by
    /// its number from 1. Returns the number of threads that received work.
    ///
    /// # Errors
    /// Those of the chunks, of `blame` and of `take`.
    pub fn run<'t, E: From<crate::Error>>(
        &self,
        chunks: impl Iterator<Item = Result<Chunk<'t>, crate::Error>>,
        blame: impl Fn(usize, Error) -> crate::Error + Sync,
        mut take: impl FnMut(Chunk<'t>, Vec<Embedding>) -> Result<(), E>,
    ) -> Result<usize, E> {
        type Answer<'t> = Result<(Chunk<'t>, Vec<Embedding>), crate::Error>;
        let worker = |chunks: &mut dyn Iterator<Item = Result<Chunk<'t>, crate::Error>>, give: &mut dyn FnMut(Answer<'t>) -> bool| {
            let worked = self.setup.with_session(self.open, |session| {
                for chunk in chunks {
                    let embedded = chunk.and_then(|chunk| {
                        let made = embed_batch(session, &chunk.texts, self.l2_normalize);
                        let made = made.map_err(|failed| blame(chunk.first + failed.index, failed.error))?;
                        Ok((chunk, made))
                    });
                    if !give(embedded) {
                        break;
                    }
                }
                Ok(())
            });
            if let Err(error) = worked {
                give(Err(error));
            }
        };
        map_in_order(self.threads, chunks, worker, |answer| answer.map_err(E::from).and_then(|(chunk, made)| take(chunk, made)))
    }
}
