//! NOR flash in memory: writes only clear bits, and power can be cut in the middle of any operation.

use attoformer_slots::MappedFlash;
use attoformer_tools::files::AlignedBytes;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

use super::MAP;
use crate::random_model::Numbers;

/// The flash.
pub struct Nor {
    /// Its bytes.
    pub memory: AlignedBytes,
    /// Bytes that can still be erased or written before power is cut; `None`: it is not.
    pub power: Option<u64>,
    /// Bytes erased and written so far.
    pub used: u64,
    /// What an interrupted operation leaves.
    pub random: Numbers,
}

impl Nor {
    /// Erased flash with an image in slot 0.
    #[must_use]
    pub fn with_image(image: &[u8]) -> Self {
        let end = (MAP.slots[1] + MAP.slot_bytes) as usize;
        let mut memory = AlignedBytes::copy_of(&vec![0xff; end]);
        let slot = MAP.slots[0] as usize;
        memory[slot..slot + image.len()].copy_from_slice(image);
        Self { memory, power: None, used: 0, random: Numbers(1) }
    }

    /// Changes the bytes of a range by `change(old, index)`. Where power ends, the next byte gets some bits of the change and the rest none.
    fn change(&mut self, from: u32, len: usize, change: impl Fn(u8, usize) -> u8) -> Result<(), NorFlashErrorKind> {
        let range = from as usize..from as usize + len;
        if range.end > self.memory.len() {
            return Err(NorFlashErrorKind::OutOfBounds);
        }
        for (index, at) in range.enumerate() {
            let (old, new) = (self.memory[at], change(self.memory[at], index));
            match &mut self.power {
                Some(0) => {
                    let bits = self.random.word() as u8;
                    self.memory[at] = old & !bits | new & bits;
                    return Err(NorFlashErrorKind::Other);
                }
                Some(left) => *left -= 1,
                None => {}
            }
            self.used += 1;
            self.memory[at] = new;
        }
        Ok(())
    }
}

impl ErrorType for Nor {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.memory[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.memory.len()
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = 32;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        assert!(from.is_multiple_of(4096) && to.is_multiple_of(4096), "an erase of whole sectors: {from:#x} to {to:#x}");
        self.change(from, (to - from) as usize, |_, _| 0xff)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        assert!(
            offset.is_multiple_of(32) && bytes.len().is_multiple_of(32),
            "a write of whole words: {} bytes at {offset:#x}",
            bytes.len()
        );
        let start = offset as usize;
        let is_blank = self.memory[start..start + bytes.len()].iter().all(|&byte| byte == 0xff);
        assert!(is_blank, "flash with error correction is written once between erases: {offset:#x}");
        self.change(offset, bytes.len(), |old, index| old & bytes[index])
    }
}

/// A board that is started again keeps its flash.
impl MappedFlash for &mut Nor {
    const BASE: u32 = 0;

    fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        self.memory.get(offset as usize..).and_then(|rest| rest.get(..len as usize)).unwrap_or_default()
    }
}
