//! The models' part of a flash that the processor reads as memory.

use attoformer_app::MappedFlash;
use attoformer_protocol::boards::{Board, Region};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Operations that differ between flash controllers. Addresses are those of [`attoformer_protocol::boards`].
pub trait Controller {
    /// Bytes that are programmed at once; addresses and lengths are multiples of it.
    const WRITE: usize;
    /// Bytes of the smallest sector.
    const SECTOR: usize;

    /// Erases a whole sector, given as the table of boards lists it. Returns after the flash can be read again.
    ///
    /// # Errors
    /// The flash reports that it did not.
    fn erase(&mut self, sector: Region) -> Result<(), FlashError>;

    /// Programs bytes. Returns after the flash can be read again.
    ///
    /// # Errors
    /// The flash reports that it did not.
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError>;
}

/// Errors of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The range is not inside journal and slots.
    OutOfRange,
    /// The range does not consist of whole sectors, or of whole units of programming.
    NotAligned,
    /// The flash reports an error, or does not contain afterwards what was written.
    Failed,
}

/// The flash of a board. Offsets are addresses; only journal and slots are written, so the program cannot erase itself.
///
/// It reads back what it writes: a flash that fails without a word, or an emulator without a flash controller, is an error and not a lost model.
pub struct ModelFlash<C> {
    controller: C,
    about: &'static Board,
}

impl<C: Controller> ModelFlash<C> {
    /// The flash of this board.
    ///
    /// # Safety
    /// It is created once; the table of boards states where the processor reads the flash.
    pub unsafe fn new(controller: C, about: &'static Board) -> Self {
        Self { controller, about }
    }

    fn check(&self, address: u32, len: usize) -> Result<(), FlashError> {
        let bytes = u32::try_from(len).map_err(|_| FlashError::OutOfRange)?;
        let [first, second] = self.about.models.slot_regions();
        let regions = [self.about.models.journal_region(), first, second];
        if regions.iter().any(|region| region.contains(address, bytes)) { Ok(()) } else { Err(FlashError::OutOfRange) }
    }

    /// The bytes at an address in journal or slots.
    fn memory(&self, address: u32, len: u32) -> &[u8] {
        if !self.about.flash_models().contains(address, len) {
            return &[];
        }
        let start = core::ptr::with_exposed_provenance((self.about.mapped_at + address) as usize);
        // SAFETY: the range is flash, which is readable memory there, and no call changes it while `self` is borrowed.
        unsafe { core::slice::from_raw_parts(start, len as usize) }
    }
}

impl<C: Controller> NorFlash for ModelFlash<C> {
    const WRITE_SIZE: usize = C::WRITE;
    const ERASE_SIZE: usize = C::SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        self.check(from, to.checked_sub(from).ok_or(FlashError::NotAligned)? as usize)?;
        let mut at = from;
        while at < to {
            let sector = self.about.flash.sector(at).filter(|sector| sector.start == at && sector.end() <= to);
            let sector = sector.ok_or(FlashError::NotAligned)?;
            self.controller.erase(sector)?;
            if self.memory(at, sector.bytes).iter().any(|&byte| byte != 0xff) {
                return Err(FlashError::Failed);
            }
            at = sector.end();
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.check(offset, bytes.len())?;
        if !(offset as usize).is_multiple_of(C::WRITE) || !bytes.len().is_multiple_of(C::WRITE) {
            return Err(FlashError::NotAligned);
        }
        self.controller.program(offset, bytes)?;
        if self.memory(offset, bytes.len() as u32) == bytes { Ok(()) } else { Err(FlashError::Failed) }
    }
}

impl<C: Controller> ReadNorFlash for ModelFlash<C> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let len = u32::try_from(bytes.len()).map_err(|_| FlashError::OutOfRange)?;
        let memory = self.memory(offset, len);
        if memory.len() != bytes.len() {
            return Err(FlashError::OutOfRange);
        }
        bytes.copy_from_slice(memory);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.about.flash.region().end() as usize
    }
}

impl<C: Controller> MappedFlash for ModelFlash<C> {
    const BASE: u32 = 0;

    fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        self.memory(offset, len)
    }
}

impl<C: Controller> ErrorType for ModelFlash<C> {
    type Error = FlashError;
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfRange => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::Failed => NorFlashErrorKind::Other,
        }
    }
}

/// Bytes of a page of a serial flash, the most that one command programs.
pub const PAGE: usize = 256;

/// Cuts bytes into pages for `program`, which takes the address of a page and all its bytes. Bytes that stay as they are have all bits set, which
/// programming does not change.
///
/// # Errors
/// Those of `program`.
pub fn pages(address: u32, bytes: &[u8], mut program: impl FnMut(u32, &[u8; PAGE]) -> Result<(), FlashError>) -> Result<(), FlashError> {
    let (mut at, mut rest) = (address, bytes);
    while !rest.is_empty() {
        let mut page = [0xff; PAGE];
        let skip = at as usize % PAGE;
        let (part, after) = rest.split_at(rest.len().min(PAGE - skip));
        page.iter_mut().skip(skip).zip(part).for_each(|(to, from)| *to = *from);
        program(at - skip as u32, &page)?;
        at += part.len() as u32;
        rest = after;
    }
    Ok(())
}
