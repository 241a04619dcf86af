//! Calibration texts: they are read, tested against the model's tokenizer and cut into sequences of tokens.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use attoformer::image::{Architecture, Config};
use attoformer::{Error as EngineError, Tokenizer};

use super::super::error::PackError;
use super::super::sections;
use super::samples::Amount;
use crate::error::Error;
use crate::eval::perplexity::documents;
use crate::files::{AlignedBytes, FileError};
use crate::import::{Checkpoint, Scheme};
use crate::run::embed::encode_truncated;

/// The built-in calibration text: sentences of many kinds and scripts, one per line.
pub const TEXT: &str = include_str!("../calibration.txt");

/// Bytes of a text that are read at most.
const BYTES_MAX: u64 = 4 << 20;
/// Tokens that a text needs at least.
const TOKENS_MIN: usize = 500;
/// Share of unknown tokens up to which a text fits, as a divisor.
const UNKNOWN_OF: usize = 10;

/// A file that is not a calibration text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text has white space only.
    #[error("the calibration text is blank; name another one with --calibrate")]
    Blank,
    /// The file has zero bytes.
    #[error("it is a binary file, not a calibration text; name a text file with --calibrate")]
    Binary,
}

/// Reasons why a text is refused as calibration.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// It has too few tokens.
    #[error("it has {0} tokens, fewer than {TOKENS_MIN}")]
    Short(usize),
    /// The tokenizer does not know it.
    #[error("{0} % of its tokens are unknown to the model's tokenizer")]
    Unknown(usize),
    /// Its characters fall apart into bytes.
    #[error("the model's tokenizer splits its {characters} characters into {tokens} tokens")]
    Bytes {
        /// Characters.
        characters: usize,
        /// Tokens.
        tokens: usize,
    },
    /// It repeats one token.
    #[error("it repeats a single token")]
    Repeated,
}

/// The start of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// At most 4 MiB of text.
    pub text: String,
    /// Whether the text continues.
    pub is_truncated: bool,
}

/// Reads the first 4 MiB of a text; `-` reads standard input.
///
/// # Errors
/// [`Error::Io`]; [`FileError::Empty`], [`FileError::NotUtf8`] and `TextError` with the file.
pub fn read(path: &Path) -> Result<Excerpt, Error> {
    let mut bytes = Vec::new();
    let source: Box<dyn Read> =
        if path == Path::new("-") { Box::new(std::io::stdin().lock()) } else { Box::new(File::open(path).map_err(Error::io(path))?) };
    source.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    let is_truncated = bytes.len() as u64 > BYTES_MAX;
    bytes.truncate(BYTES_MAX as usize);
    if bytes.is_empty() {
        return Err(Error::file(path)(FileError::Empty));
    }
    if bytes.contains(&0) {
        return Err(Error::file(path)(TextError::Binary));
    }
    let text = String::from_utf8(bytes).or_else(|error| {
        let valid = error.utf8_error().valid_up_to();
        // The end of the excerpt may cut a character.
        let is_cut = is_truncated && error.utf8_error().error_len().is_none();
        let mut bytes = error.into_bytes();
        bytes.truncate(valid);
        if is_cut { String::from_utf8(bytes).map_err(|_| valid) } else { Err(valid) }
    });
    let text = text.map_err(|offset| Error::file(path)(FileError::NotUtf8 { offset }))?;
    if text.trim().is_empty() {
        return Err(Error::file(path)(TextError::Blank));
    }
    Ok(Excerpt { text, is_truncated })
}

/// Reads texts as a model does.
pub struct TextReader<'t> {
    tokenizer: Tokenizer<'t>,
    config: Config,
    /// The token of byte 0, before those of the other bytes, where unknown characters fall back to bytes.
    first_byte: Option<u32>,
    /// Whether all pieces are made of bytes, so that no token is unknown.
    is_byte_level: bool,
}

/// The tokenizer section of a checkpoint.
pub fn tokenizer_section(checkpoint: &Checkpoint) -> Option<AlignedBytes> {
    let mut section = Vec::new();
    sections::tokenizer(checkpoint.tokenizer.as_ref()?, &mut section);
    Some(AlignedBytes::copy_of(&section))
}

/// Tokens of a part of a text, and what is needed to judge it.
#[derive(Clone, Debug)]
struct Piece {
    tokens: Vec<u32>,
    characters: usize,
}

impl<'t> TextReader<'t> {
    /// A reader with the tokenizer of [`tokenizer_section`].
    ///
    /// # Errors
    /// [`PackError::Rejected`] if the engine refuses the tokenizer.
    pub fn new(checkpoint: &Checkpoint, section: &'t [u8]) -> Result<Self, PackError> {
        let scheme = checkpoint.tokenizer.as_ref().map(|tokenizer| tokenizer.scheme);
        let first_byte = match scheme {
            Some(Scheme::SentencePiece { first_byte, .. }) => Some(first_byte),
            Some(Scheme::Unigram { first_byte, .. }) => first_byte,
            _ => None,
        };
        let tokenizer = Tokenizer::new(section, checkpoint.config.vocab).map_err(PackError::Rejected)?;
        let is_byte_level = matches!(scheme, Some(Scheme::ByteBpe { .. }));
        Ok(TextReader { tokenizer, config: checkpoint.config, first_byte, is_byte_level })
    }

    /// The lines of the built-in text that the tokenizer can read.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn readable_lines(&self, text: &str) -> Result<String, EngineError> {
        let mut kept = String::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut tokens = vec![0; self.tokenizer.max_tokens(line.len())];
            let count = self.tokenizer.encode(line, &mut tokens)?;
            tokens.truncate(count);
            if self.known(&[Piece { tokens, characters: line.chars().count() }]).is_ok() {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        Ok(kept)
    }

    /// Sequences of tokens of a text: the lines that an encoder reads, or parts of the documents that a decoder reads. A text that does not fit the model
    /// is refused.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn sequences(&self, text: &str, amount: Amount) -> Result<Result<Vec<Vec<u32>>, Unfit>, EngineError> {
        let pieces = if self.config.architecture == Architecture::Decoder { self.documents(text)? } else { self.lines(text, amount)? };
        if let Err(unfit) = self.fits(&pieces) {
            return Ok(Err(unfit));
        }
        let count: usize = pieces.iter().map(|piece| piece.tokens.len()).sum();
        let length = amount.sequence.min(self.config.context as usize).min((count / 8).max(32)).max(1);
        let of = |piece: Piece| -> Vec<Vec<u32>> {
            match self.config.architecture {
                Architecture::Decoder => piece.tokens.chunks(length).map(<[u32]>::to_vec).collect(),
                _ => vec![piece.tokens],
            }
        };
        let sequences = pieces.into_iter().flat_map(of).filter(|sequence| !sequence.is_empty()).collect();
        Ok(Ok(thin_out(sequences, amount.tokens)))
    }

    /// Each line as an encoder's whole input.
    fn lines(&self, text: &str, amount: Amount) -> Result<Vec<Piece>, EngineError> {
        let limit = if self.config.has_cross() { self.config.encoder_context } else { self.config.context } as usize;
        let line = |line: &str| {
            let mut tokens = vec![0; limit.min(amount.sequence)];
            let found = encode_truncated(&self.tokenizer, line, &mut tokens)?;
            let all = (found.tokens + found.truncated).max(1);
            tokens.truncate(found.tokens);
            // The characters of a line that is truncated count in proportion.
            Ok(Piece { characters: line.chars().count() * tokens.len() / all, tokens })
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(line).collect()
    }

    /// Each document as a decoder's prompt.
    fn documents(&self, text: &str) -> Result<Vec<Piece>, EngineError> {
        let document = |document: &str| {
            let mut tokens = vec![0; self.tokenizer.max_tokens(document.len())];
            let found = self.tokenizer.encode_prompt(document, &mut tokens)?;
            tokens.truncate(found);
            Ok(Piece { tokens, characters: document.chars().count() })
        };
        documents(text).map(document).collect()
    }

    /// Whether a text fits the model.
    fn fits(&self, pieces: &[Piece]) -> Result<(), Unfit> {
        let count = pieces.iter().map(|piece| piece.tokens.len()).sum();
        if count < TOKENS_MIN {
            return Err(Unfit::Short(count));
        }
        self.known(pieces)?;
        let special = [self.tokenizer.bos(), self.tokenizer.eos()];
        let mut counts: HashMap<u32, usize> = HashMap::new();
        for token in pieces.iter().flat_map(|piece| &piece.tokens).filter(|token| !special.contains(token)) {
            *counts.entry(*token).or_default() += 1;
        }
        let (most, all) = (counts.values().copied().max().unwrap_or(0), counts.values().sum::<usize>());
        if most * 10 > all * 9 { Err(Unfit::Repeated) } else { Ok(()) }
    }

    /// Whether the tokenizer knows a text: at most a tenth of its tokens are unknown, and it does not fall apart into bytes.
    fn known(&self, pieces: &[Piece]) -> Result<(), Unfit> {
        let tokens: usize = pieces.iter().map(|piece| piece.tokens.len()).sum();
        let unknown = pieces.iter().flat_map(|piece| &piece.tokens).filter(|&&token| self.is_unknown(token)).count();
        if unknown * UNKNOWN_OF > tokens {
            return Err(Unfit::Unknown(unknown * 100 / tokens));
        }
        // A token more per text for BOS, and one for EOS.
        let characters = pieces.iter().map(|piece| piece.characters + 2).sum();
        if self.is_byte_level && tokens > characters { Err(Unfit::Bytes { characters, tokens }) } else { Ok(()) }
    }

    /// Whether a token stands for text that the vocabulary lacks. Bytes of line breaks and tabs are known: most vocabularies have no other token
    /// for them.
    fn is_unknown(&self, token: u32) -> bool {
        if self.is_byte_level {
            return false;
        }
        let byte = self.first_byte.and_then(|first| token.checked_sub(first)).filter(|&byte| byte < 256);
        token == self.tokenizer.unk() || byte.is_some_and(|byte| !matches!(byte as u8, b'\n' | b'\r' | b'\t'))
    }
}

/// Drops sequences evenly until about `enough` tokens are left.
fn thin_out(sequences: Vec<Vec<u32>>, enough: usize) -> Vec<Vec<u32>> {
    let count: usize = sequences.iter().map(Vec::len).sum();
    if count <= enough {
        return sequences;
    }
    let (mut before, mut taken) = (0, 0);
    let mut is_kept = |sequence: &Vec<u32>| {
        // A sequence is kept where the kept share of the tokens so far is behind.
        let kept = taken * count <= before * enough;
        before += sequence.len();
        taken += if kept { sequence.len() } else { 0 };
        kept
    };
    sequences.into_iter().filter(|sequence| is_kept(sequence)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_thinned_out_evenly() {
        let sequences: Vec<Vec<u32>> = (0..100).map(|index| vec![index; 1 + index as usize % 7]).collect();
        assert_eq!(thin_out(sequences.clone(), 1000), sequences);
        let kept = thin_out(sequences, 100);
        let tokens: usize = kept.iter().map(Vec::len).sum();
        assert!((90..=110).contains(&tokens), "{tokens}");
        assert!(kept.first().unwrap()[0] == 0 && kept.last().unwrap()[0] > 90);
        assert!(thin_out(Vec::new(), 0).is_empty());
    }

    fn refusal(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path()).unwrap_err().to_string()
    }

    #[test]
    fn files_that_are_no_texts_are_refused() {
        for (bytes, sentence) in [
            (&b""[..], "the file is empty"),
            (b" \n\t\n", "the calibration text is blank"),
            (b"text\0text", "it is a binary file"),
            (b"text \xff", "invalid byte at offset 5"),
            (b"text \xe2\x82", "invalid byte at offset 5"),
        ] {
            let found = refusal(bytes);
            assert!(found.contains(sentence), "{found}");
        }
    }

    #[test]
    fn only_the_start_of_a_long_text_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // The limit lies within a character.
        std::fs::write(file.path(), "x".to_owned() + &"\u{20ac}".repeat(2 << 20)).unwrap();
        let excerpt = read(file.path()).unwrap();
        assert!(excerpt.is_truncated && excerpt.text.ends_with('\u{20ac}'));
        assert!((BYTES_MAX as usize - 3..=BYTES_MAX as usize).contains(&excerpt.text.len()));
    }
}
