//! Erases and programs the flash with functions of the boot ROM.
//!
//! While they run, the flash cannot be read: interrupts are off and the code is in RAM.

use attoformer_board::flash::{self, FlashError, PAGE, pages};
use attoformer_protocol::boards::{PICO, Region};
use rp2040_hal::rom_data;

/// Size and command of a block: with them the boot ROM erases whole blocks faster.
const BLOCK: (u32, u8) = (1 << 16, 0xd8);

/// The flash of the board.
pub struct Controller;

impl flash::Controller for Controller {
    const WRITE: usize = 1;
    const SECTOR: usize = 4096;

    fn erase(&mut self, sector: Region) -> Result<(), FlashError> {
        run(&Command { offset: sector.start - PICO.flash.start, bytes: sector.bytes as usize, data: core::ptr::null() });
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        pages(address, bytes, |at, page| {
            run(&Command { offset: at - PICO.flash.start, bytes: PAGE, data: page.as_ptr() });
            Ok(())
        })
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

/// Runs a command on a range of models.
fn run(command: &Command) {
    let boot2: *const [u32; 64] = core::ptr::with_exposed_provenance(PICO.flash.start as usize);
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
    // SAFETY: interrupts are off and the second core never starts, so nothing reads the flash meanwhile. The range is one of models, which `ModelFlash`
    // has checked, and `data` has `bytes` bytes in RAM.
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
            (rom.flash_range_erase)(command.offset, command.bytes, BLOCK.0, BLOCK.1);
        } else {
            (rom.flash_range_program)(command.offset, command.data, command.bytes);
        }
        (rom.flash_flush_cache)();
    }
    (rom.enter_xip)();
}
