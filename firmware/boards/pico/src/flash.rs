//! The flash behind the program's memory, erased and programmed by functions of the boot ROM.
//!
//! While they run, the flash cannot be read: interrupts are off and the code is in RAM.

use attoformer_app::MappedFlash;
use embedded_storage::nor_flash::{ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use rp2040_hal::rom_data;

/// Address of the flash in memory.
const START: usize = 0x1000_0000;
/// Bytes of the flash.
const BYTES: u32 = 2 << 20;
/// First byte that may be erased: the journal of the model slots. The program comes before it.
const WRITABLE: u32 = 0x7e000;
/// Bytes of a page, the most that one command programs.
const PAGE: usize = 256;
/// Bytes of a sector, the least that one command erases.
const SECTOR: u32 = 4096;
/// Size and command of a block: with them the boot ROM erases whole blocks faster.
const BLOCK: (usize, u8) = (1 << 16, 0xd8);

/// The flash. Offsets count from its first byte.
pub struct Flash(());

/// Errors of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The range ends after the flash, or a write begins in the program.
    OutOfRange,
    /// The range to erase does not consist of whole sectors.
    NotAligned,
}

impl Flash {
    /// The flash.
    ///
    /// # Safety
    /// It is created once, and references to flash are not used while a call changes the bytes that they refer to.
    pub unsafe fn new() -> Self {
        Self(())
    }
}

/// Checks that the range is inside the model's part.
fn check(offset: u32, bytes: usize) -> Result<(), FlashError> {
    let end = u32::try_from(bytes).ok().and_then(|bytes| offset.checked_add(bytes));
    if offset >= WRITABLE && end.is_some_and(|end| end <= BYTES) { Ok(()) } else { Err(FlashError::OutOfRange) }
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let end = u32::try_from(bytes.len()).ok().and_then(|bytes| offset.checked_add(bytes));
        if end.is_none_or(|end| end > BYTES) {
            return Err(FlashError::OutOfRange);
        }
        let from: *const u8 = core::ptr::with_exposed_provenance(START + offset as usize);
        // SAFETY: the range is inside the flash, which is readable memory.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn capacity(&self) -> usize {
        BYTES as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        if !from.is_multiple_of(SECTOR) || !to.is_multiple_of(SECTOR) || to < from {
            return Err(FlashError::NotAligned);
        }
        check(from, (to - from) as usize)?;
        // A sector at a time, so that interrupts are off for one erase only.
        for sector in (from..to).step_by(SECTOR as usize) {
            run(&Command { offset: sector, bytes: SECTOR as usize, data: core::ptr::null() });
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check(offset, bytes.len())?;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            // Bytes of a page that stay as they are: programming 0xff changes nothing.
            let mut page = [0xff; PAGE];
            let skip = at as usize % PAGE;
            let (part, after) = rest.split_at(rest.len().min(PAGE - skip));
            for (to, from) in page.iter_mut().skip(skip).zip(part) {
                *to = *from;
            }
            run(&Command { offset: at - skip as u32, bytes: PAGE, data: page.as_ptr() });
            at += part.len() as u32;
            rest = after;
        }
        Ok(())
    }
}

impl MultiwriteNorFlash for Flash {}

impl MappedFlash for Flash {
    const BASE: u32 = START as u32;

    fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        if offset.checked_add(len).is_none_or(|end| end > BYTES) {
            return &[];
        }
        let start = core::ptr::with_exposed_provenance(START + offset as usize);
        // SAFETY: the range is inside the flash, which is readable memory, and no call changes it while `self` is borrowed.
        unsafe { core::slice::from_raw_parts(start, len as usize) }
    }
}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfRange => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
        }
    }
}

/// A range to program with `data`, or to erase if that is null.
struct Command {
    offset: u32,
    bytes: usize,
    data: *const u8,
}

/// The boot ROM's functions, looked up while the flash can still be read.
struct Rom {
    connect_internal_flash: unsafe extern "C" fn(),
    flash_exit_xip: unsafe extern "C" fn(),
    flash_range_erase: unsafe extern "C" fn(u32, usize, u32, u8),
    flash_range_program: unsafe extern "C" fn(u32, *const u8, usize),
    flash_flush_cache: unsafe extern "C" fn(),
    /// A copy of the second-stage boot loader, which sets up fast reading; it returns when it is called with a return address.
    enter_xip: extern "C" fn(),
}

/// Runs a command on a range that [`check`] has accepted.
fn run(command: &Command) {
    let boot2: *const [u32; 64] = core::ptr::with_exposed_provenance(START);
    // SAFETY: the flash begins with the 256 bytes of the second-stage boot loader. The copy is volatile: otherwise it could be elided.
    let boot2 = unsafe { boot2.read_volatile() };
    // SAFETY: the second-stage boot loader is position-independent Thumb code whose entry is its first byte, hence the 1.
    let enter_xip = unsafe { core::mem::transmute::<*const u8, extern "C" fn()>(boot2.as_ptr().cast::<u8>().wrapping_add(1)) };
    let rom = Rom {
        connect_internal_flash: rom_data::connect_internal_flash::ptr(),
        flash_exit_xip: rom_data::flash_exit_xip::ptr(),
        flash_range_erase: rom_data::flash_range_erase::ptr(),
        flash_range_program: rom_data::flash_range_program::ptr(),
        flash_flush_cache: rom_data::flash_flush_cache::ptr(),
        enter_xip,
    };
    // SAFETY: interrupts are off and the second core never starts, so nothing reads the flash meanwhile. The range was checked, `data` has `bytes` bytes in RAM.
    critical_section::with(|_| unsafe { run_from_ram(command, &rom) });
}

/// Runs a command without reading the flash.
///
/// # Safety
/// Nothing reads the flash meanwhile; the range may be changed; `data` is null or `bytes` bytes in RAM.
#[inline(never)]
#[unsafe(link_section = ".data.run_from_ram")]
unsafe fn run_from_ram(command: &Command, rom: &Rom) {
    // SAFETY: the order of calls that the RP2040 datasheet gives in section 2.8.3.1.3; the caller promises the rest.
    unsafe {
        (rom.connect_internal_flash)();
        (rom.flash_exit_xip)();
        if command.data.is_null() {
            (rom.flash_range_erase)(command.offset, command.bytes, BLOCK.0 as u32, BLOCK.1);
        } else {
            (rom.flash_range_program)(command.offset, command.data, command.bytes);
        }
        (rom.flash_flush_cache)();
    }
    (rom.enter_xip)();
}
