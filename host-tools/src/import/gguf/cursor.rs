//! Little-endian fields of a GGUF file, read in order.

use super::error::ContainerError;

/// Longest key or tensor name, bytes; a longer one is damage.
const NAME_MAX: usize = 1 << 16;

/// The bytes of a file that are not yet read.
pub(super) struct Cursor<'b>(pub &'b [u8]);

impl<'b> Cursor<'b> {
    /// The next bytes.
    ///
    /// # Errors
    /// [`ContainerError::Truncated`]; the other methods return it, too.
    pub fn take(&mut self, count: usize) -> Result<&'b [u8], ContainerError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(ContainerError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ContainerError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(ContainerError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// The next u32.
    pub fn u32(&mut self) -> Result<u32, ContainerError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next u64.
    pub fn u64(&mut self) -> Result<u64, ContainerError> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next string; `name` names it in errors.
    ///
    /// # Errors
    /// [`ContainerError::NotUtf8`].
    pub fn text(&mut self, name: &str) -> Result<&'b str, ContainerError> {
        let length = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        std::str::from_utf8(self.take(length)?).map_err(|_| ContainerError::NotUtf8(name.to_owned()))
    }

    /// The next string, which must be a name.
    ///
    /// # Errors
    /// [`ContainerError::NameLength`].
    pub fn name(&mut self, kind: &'static str) -> Result<&'b str, ContainerError> {
        let name = self.text(kind)?;
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(ContainerError::NameLength { kind, bytes: name.len(), max: NAME_MAX });
        }
        Ok(name)
    }
}
