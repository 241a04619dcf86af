//! Bounds-checked reads of the section's arrays, and the error of a section that contradicts itself.

use crate::error::Error;

/// A little-endian u32 or f32 at any alignment.
pub type Le32 = [u8; 4];

/// An array of the section, read in place.
pub type Le32Slice<'a> = &'a [Le32];

/// The error of a section that is malformed or contradicts itself.
pub fn invalid(what: &'static str) -> Error {
    Error::Tokenizer { what }
}

/// Reads a section from its start.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next `count` bytes.
    #[inline(never)]
    pub fn bytes(&mut self, count: Option<usize>) -> Result<&'a [u8], Error> {
        let split = count.and_then(|count| self.rest.split_at_checked(count));
        let (bytes, rest) = split.ok_or(invalid("the section is truncated"))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next `count` values. `None`, the result of a checked multiplication, is an error.
    pub fn array(&mut self, count: Option<usize>) -> Result<Le32Slice<'a>, Error> {
        let bytes = self.bytes(count.and_then(|count| count.checked_mul(4)))?;
        Ok(bytes.as_chunks::<4>().0)
    }

    /// A u32.
    pub fn count(&mut self) -> Result<usize, Error> {
        Ok(self.array(Some(1))?.first().map_or(0, |count| u32::from_le_bytes(*count) as usize))
    }

    /// A u32 count, then that many rows of two values.
    pub fn counted_rows(&mut self) -> Result<&'a [[Le32; 2]], Error> {
        let count = self.count()?;
        Ok(self.array(count.checked_mul(2))?.as_chunks::<2>().0)
    }

    /// A u32 count, then that many bytes.
    pub fn counted_bytes(&mut self) -> Result<&'a [u8], Error> {
        let count = self.count()?;
        self.bytes(Some(count))
    }

    /// All bytes that have not been read.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}
