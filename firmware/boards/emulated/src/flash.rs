//! Memory that acts as NOR flash.

use attoformer_app::MappedFlash;
use attoformer_protocol::boards::Board;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// The memory, from the journal on.
pub struct MemoryFlash {
    memory: &'static mut [u8],
    /// Address of the first byte.
    start: u32,
}

impl MemoryFlash {
    /// The models' part of a board's flash in this memory.
    pub fn new(about: &Board, memory: &'static mut [u8]) -> Self {
        Self { memory, start: about.flash_models().start }
    }

    fn part(&mut self, offset: u32, len: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        let at = offset.checked_sub(self.start).ok_or(NorFlashErrorKind::OutOfBounds)? as usize;
        self.memory.get_mut(at..).and_then(|rest| rest.get_mut(..len)).ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl ErrorType for MemoryFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for MemoryFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let part = self.part(offset, bytes.len())?;
        bytes.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.memory.len()
    }
}

impl NorFlash for MemoryFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.part(from, to.saturating_sub(from) as usize)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let part = self.part(offset, bytes.len())?;
        part.iter_mut().zip(bytes).for_each(|(to, from)| *to &= *from);
        Ok(())
    }
}

impl MappedFlash for MemoryFlash {
    const BASE: u32 = 0;

    fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        let at = offset.wrapping_sub(self.start) as usize;
        self.memory.get(at..).and_then(|rest| rest.get(..len as usize)).unwrap_or_default()
    }
}
