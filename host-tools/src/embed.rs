//! Texts to embeddings.

use std::io::{self, Write};

use attoformer::numeric::normalize;
use attoformer::{Error, Session};

/// What an encoder made of a text.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// `(d_model)`.
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
pub fn embed(session: &mut Session, text: &str, to_length_1: bool) -> Result<Embedding, Error> {
    let tokenizer = session.image().tokenizer()?;
    let mut tokens = vec![0; session.room()];
    let encoding = tokenizer.encode_with_specials(text, &mut tokens)?;
    let mut values = session.encode(&tokens[..encoding.tokens])?.to_vec();
    if to_length_1 && !session.config().normalized {
        normalize(&mut values);
    }
    Ok(Embedding { values, tokens: encoding.tokens, left_out: encoding.left_out })
}

/// Writes an array as NumPy reads it: format 1.0, f32, C order.
///
/// # Errors
/// What the writer says.
pub fn write_npy(out: &mut impl Write, shape: &[usize], values: impl Iterator<Item = f32>) -> io::Result<()> {
    const BEFORE_HEADER: usize = 10;
    const ALIGN: usize = 64;
    // As Python writes a tuple: one of a single size keeps its comma.
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}{comma}), }}", sizes.join(", "));
    while !(BEFORE_HEADER + header.len() + 1).is_multiple_of(ALIGN) {
        header.push(' ');
    }
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    write_f32(out, values)
}

/// Writes values, little-endian and nothing else.
///
/// # Errors
/// What the writer says.
pub fn write_f32(out: &mut impl Write, mut values: impl Iterator<Item = f32>) -> io::Result<()> {
    values.try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::write_npy;

    /// The format's page wants the header to end in a line feed at a multiple of 64.
    #[test]
    fn npy_files_have_an_aligned_header() {
        let mut file = Vec::new();
        write_npy(&mut file, &[2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.5].into_iter()).unwrap();
        let header = u16::from_le_bytes([file[8], file[9]]) as usize;
        assert!((10 + header).is_multiple_of(64) && file[9 + header] == b'\n');
        let text = std::str::from_utf8(&file[10..10 + header]).unwrap();
        assert!(text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
        assert_eq!(file[10 + header..][20..], 6.5f32.to_le_bytes());
    }
}
