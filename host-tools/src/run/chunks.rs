//! Texts in chunks for worker threads: the lines of a file, or given texts.

use std::path::Path;

use crate::error::Error;
use crate::files::FileError;

/// Texts per chunk at most: enough to fill the rows of an encoder batch, few enough that threads finish together.
const TEXTS_MAX: usize = 32;
/// Bytes of text after which a chunk takes no more texts.
const BYTES_MAX: usize = 8 * 1024;

/// Consecutive texts of a source.
#[derive(Clone, Debug)]
pub struct Chunk<'t> {
    /// Number of the first text, from 1.
    pub first: usize,
    /// The texts.
    pub texts: Vec<&'t str>,
    /// Bytes of the source that they occupy.
    pub bytes: usize,
}

/// Reads the lines of a file's bytes on demand.
///
/// # Errors
/// [`FileError::NotUtf8`] instead of the chunk that contains the invalid byte.
pub fn lines<'t>(path: &'t Path, bytes: &'t [u8]) -> impl Iterator<Item = Result<Chunk<'t>, Error>> {
    let mut at = 0;
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        let text =
            std::str::from_utf8(line).map_err(|error| Error::file(path)(FileError::NotUtf8 { offset: start + error.valid_up_to() }))?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        Ok((text, line.len()))
    });
    chunks(lines)
}

/// Groups texts that are already in memory.
pub fn given(texts: &[String]) -> impl Iterator<Item = Result<Chunk<'_>, Error>> {
    chunks(texts.iter().map(|text| Ok((text.as_str(), text.len()))))
}

/// Groups texts, each with the bytes that it occupies, into chunks.
fn chunks<'t>(mut texts: impl Iterator<Item = Result<(&'t str, usize), Error>>) -> impl Iterator<Item = Result<Chunk<'t>, Error>> {
    let mut next = 1;
    std::iter::from_fn(move || {
        let mut chunk = Chunk { first: next, texts: Vec::new(), bytes: 0 };
        while chunk.texts.len() < TEXTS_MAX && chunk.bytes < BYTES_MAX {
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

#[cfg(test)]
mod tests {
    use super::lines;
    use std::path::Path;

    /// Lines equal those of `str::lines`; chunks hold all of them with their numbers.
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
    fn an_invalid_byte_is_reported_by_its_offset_in_the_file() {
        let mut read = lines(Path::new("x.txt"), b"good\nb\xffd\n");
        assert_eq!(
            read.next().unwrap().unwrap_err().to_string(),
            "x.txt: the text is not UTF-8: invalid byte at offset 6; convert the file to UTF-8"
        );
    }
}
