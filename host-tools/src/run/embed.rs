//! Texts to embeddings.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use attoformer::numeric::normalize;
use attoformer::tokenizer::Encoding;
use attoformer::{Error, Session, Tokenizer};

use crate::engine::{OpenImage, Setup};
use crate::files::FileError;
use crate::threads::map_in_order;

/// Texts that go to a thread together, at most: enough to fill an encoder's rows, few enough that threads end together.
const TEXTS: usize = 32;
/// Bytes of text behind which no more join them.
const BYTES: usize = 8 * 1024;

/// What an encoder made of a text.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// `(d_model)`, or a classifier's logits.
    pub values: Vec<f32>,
    /// Tokens that it read, with those that begin and end a text.
    pub tokens: usize,
    /// Tokens at the text's end that its context had no room for.
    pub left_out: usize,
}

/// Encodes one text as the model's own tokenizer would give it to the model: one that is longer than the context is cut.
///
/// # Errors
/// [`Error::NoTokenizer`], [`Error::Architecture`], or what else the engine says.
pub fn embed(session: &mut Session, text: &str, l2_normalize: bool) -> Result<Embedding, Error> {
    let mut only = embed_together(session, &[text], l2_normalize).map_err(|refused| refused.error)?;
    only.pop().ok_or(Error::EmptyPrompt)
}

/// Why one of several texts was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Number of the text, from 0.
    pub index: usize,
    /// What the engine said.
    pub error: Error,
}

/// Encodes texts packed together, each as [`embed`] does it, to the same bits.
///
/// # Errors
/// The first text's that has one, see [`embed`].
pub fn embed_together(session: &mut Session, texts: &[&str], l2_normalize: bool) -> Result<Vec<Embedding>, Refused> {
    // What does not encode at all says so before it looks at a text.
    let able = session.encode_batch(&[], &[], |_, _| {}).and_then(|()| session.image().tokenizer());
    let tokenizer = able.map_err(|error| Refused { index: 0, error })?;
    let context = session.room();
    let (mut tokens, mut lengths, mut made) = (Vec::new(), Vec::new(), Vec::with_capacity(texts.len()));
    for (index, text) in texts.iter().enumerate() {
        let start = tokens.len();
        tokens.resize(start + context, 0);
        let encoding = encode_truncated(&tokenizer, text, &mut tokens[start..]).map_err(|error| Refused { index, error })?;
        tokens.truncate(start + encoding.tokens);
        lengths.push(encoding.tokens);
        made.push(Embedding { values: Vec::new(), tokens: encoding.tokens, left_out: encoding.truncated });
    }
    let scale = l2_normalize && !session.config().l2_normalize;
    let mut shown = 0;
    let encoded = session.encode_batch(&tokens, &lengths, |index, row| {
        let values = &mut made[index].values;
        values.extend_from_slice(row);
        if scale {
            normalize(values);
        }
        shown = index + 1;
    });
    encoded.map_err(|error| Refused { index: shown, error })?;
    Ok(made)
}

/// Writes a text as a whole input to `out`; a text that is longer is cut at its end, as the libraries of all these models have it. The
/// engine itself does so for WordPiece only, whose words it splits one by one.
///
/// # Errors
/// What the tokenizer says: there is no room for the special tokens.
pub fn encode_truncated(tokenizer: &Tokenizer, text: &str, out: &mut [u32]) -> Result<Encoding, Error> {
    match tokenizer.encode_with_special_tokens(text, out) {
        Err(Error::BufferTooSmall { .. }) if out.len() > 2 => {}
        encoded => return encoded,
    }
    let mut all = vec![0; tokenizer.max_tokens(text.len())];
    let count = tokenizer.encode_with_special_tokens(text, &mut all)?.tokens;
    if let Some(out) = out.get_mut(..count) {
        // It was a long word's characters that had no room.
        out.copy_from_slice(&all[..count]);
        return Ok(Encoding { tokens: count, truncated: 0 });
    }
    let kept = out.len() - usize::from(tokenizer.add_eos());
    out[..kept].copy_from_slice(&all[..kept]);
    out[kept..].fill(tokenizer.eos());
    Ok(Encoding { tokens: out.len(), truncated: count - out.len() })
}

/// Neighbouring texts of a source.
#[derive(Clone, Debug)]
pub struct Chunk<'t> {
    /// Number of the first one, from 1.
    pub first: usize,
    /// The texts.
    pub texts: Vec<&'t str>,
    /// Bytes of the source that they take.
    pub bytes: usize,
}

/// The lines of a file's bytes, read as they are asked for.
///
/// # Errors
/// [`crate::Error::File`] with the place of a byte that is not UTF-8, in place of the chunk that has it.
pub fn lines<'t>(path: &'t Path, bytes: &'t [u8]) -> impl Iterator<Item = Result<Chunk<'t>, crate::Error>> {
    let mut at = 0;
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        let text = std::str::from_utf8(line)
            .map_err(|error| crate::Error::file(path)(FileError::NotUtf8 { offset: start + error.valid_up_to() }))?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        Ok((text, line.len()))
    });
    chunks(lines)
}

/// Texts that are there already.
pub fn given(texts: &[String]) -> impl Iterator<Item = Result<Chunk<'_>, crate::Error>> {
    chunks(texts.iter().map(|text| Ok((text.as_str(), text.len()))))
}

/// Joins texts, each with the bytes it takes, to chunks.
fn chunks<'t>(
    mut texts: impl Iterator<Item = Result<(&'t str, usize), crate::Error>>,
) -> impl Iterator<Item = Result<Chunk<'t>, crate::Error>> {
    let mut next = 1;
    std::iter::from_fn(move || {
        let mut chunk = Chunk { first: next, texts: Vec::new(), bytes: 0 };
        while chunk.texts.len() < TEXTS && chunk.bytes < BYTES {
            match texts.next() {
                Some(Ok((text, bytes))) => {
                    chunk.texts.push(text);
                    chunk.bytes += bytes;
                }
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        next += chunk.texts.len();
        (!chunk.texts.is_empty()).then_some(Ok(chunk))
    })
}

/// Embeds chunks on some threads. `take` is shown each chunk with its embeddings, in order. Returns how many threads there was work for; no
/// value depends on it.
///
/// # Errors
/// Those of the chunks; one sentence that names the text, as `name` calls it by its number; those that `take` returns.
pub fn embed_all<'t, E: From<crate::Error>>(
    subject: OpenImage<'_>,
    setup: &Setup,
    threads: usize,
    l2_normalize: bool,
    chunks: impl Iterator<Item = Result<Chunk<'t>, crate::Error>>,
    name: impl Fn(usize, Error) -> crate::Error + Sync,
    mut take: impl FnMut(Chunk<'t>, Vec<Embedding>) -> Result<(), E>,
) -> Result<usize, E> {
    type Answer<'t> = Result<(Chunk<'t>, Vec<Embedding>), crate::Error>;
    let worker = |chunks: &mut dyn Iterator<Item = Result<Chunk<'t>, crate::Error>>, give: &mut dyn FnMut(Answer<'t>) -> bool| {
        let worked = setup.with_session(subject, |session| {
            for chunk in chunks {
                let embedded = chunk.and_then(|chunk| {
                    let made = embed_together(session, &chunk.texts, l2_normalize);
                    let made = made.map_err(|refused| name(chunk.first + refused.index, refused.error))?;
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
    map_in_order(threads, chunks, worker, |answer| answer.map_err(E::from).and_then(|(chunk, made)| take(chunk, made)))
}

/// A file of rows of f32, written row by row: little-endian, as NumPy reads them (format 1.0, C order) or without a header.
pub struct RowFile<W> {
    out: W,
    columns: usize,
    rows: usize,
    npy: bool,
}

impl<W: Write + Seek> RowFile<W> {
    /// Begins at the start of `out`.
    ///
    /// # Errors
    /// What the writer says.
    pub fn new(mut out: W, columns: usize, npy: bool) -> io::Result<Self> {
        if npy {
            out.write_all(&npy_header(&[0, columns]))?;
        }
        Ok(RowFile { out, columns, rows: 0, npy })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// What the writer says.
    pub fn push(&mut self, row: &[f32]) -> io::Result<()> {
        debug_assert_eq!(row.len(), self.columns);
        self.rows += 1;
        row.iter().try_for_each(|value| self.out.write_all(&value.to_le_bytes()))
    }

    /// Writes how many rows there were where NumPy looks for it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<()> {
        if self.npy {
            self.out.seek(SeekFrom::Start(0))?;
            self.out.write_all(&npy_header(&[self.rows, self.columns]))?;
        }
        Ok(())
    }
}

/// A NumPy file's header (format 1.0, f32, C order), as long for any shape.
fn npy_header(shape: &[usize]) -> Vec<u8> {
    const BEFORE_HEADER: usize = 10;
    const LEN: usize = 128;
    // As Python writes a tuple: one of a single size keeps its comma.
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(((LEN - BEFORE_HEADER) as u16).to_le_bytes());
    bytes.extend(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}{comma}), }}", sizes.join(", ")).into_bytes());
    bytes.resize(LEN - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Writes a whole array as NumPy reads it.
///
/// # Errors
/// What the writer says.
pub fn write_npy(out: &mut impl Write, shape: &[usize], mut values: impl Iterator<Item = f32>) -> io::Result<()> {
    out.write_all(&npy_header(shape))?;
    values.try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{RowFile, lines};
    use std::io::Cursor;
    use std::path::Path;

    /// The format's page wants the header to end in a line feed at a multiple of 64.
    #[test]
    fn npy_files_have_an_aligned_header() {
        let mut bytes = Vec::new();
        let mut file = RowFile::new(Cursor::new(&mut bytes), 3, true).unwrap();
        file.push(&[1.0, 2.0, 3.0]).unwrap();
        file.push(&[4.0, 5.0, 6.5]).unwrap();
        file.finish().unwrap();
        let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
        assert!((10 + header).is_multiple_of(64) && bytes[9 + header] == b'\n');
        let text = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
        assert!(text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
        assert_eq!(bytes[10 + header..][20..], 6.5f32.to_le_bytes());
    }

    /// Lines are what `str::lines` makes of a text; chunks hold all of them, each with its number.
    #[test]
    fn lines_are_those_of_the_standard_library() {
        for text in ["", "one", "one\n", "\n", "a\r\nb\n\n c\r", &"word ".repeat(5000), &"line\n".repeat(1000), "no end\r\n\r"] {
            let chunks: Vec<_> = lines(Path::new("x"), text.as_bytes()).map(Result::unwrap).collect();
            let found: Vec<&str> = chunks.iter().flat_map(|chunk| chunk.texts.iter().copied()).collect();
            assert_eq!(found, text.lines().collect::<Vec<_>>());
            assert_eq!(chunks.iter().map(|chunk| chunk.bytes).sum::<usize>(), text.len());
            let firsts = chunks.iter().scan(1, |next, chunk| {
                *next += chunk.texts.len();
                Some(*next - chunk.texts.len())
            });
            assert!(chunks.iter().map(|chunk| chunk.first).eq(firsts));
        }
    }

    #[test]
    fn a_byte_that_is_not_utf_8_is_named_by_its_place_in_the_file() {
        let mut read = lines(Path::new("x.txt"), b"good\nb\xffd\n");
        assert_eq!(
            read.next().unwrap().unwrap_err().to_string(),
            "x.txt: the text is not UTF-8: invalid byte at offset 6; convert the file to UTF-8"
        );
    }
}
