//! Erases and programs the flash with functions of the boot ROM.
//!
//! While they run, the flash cannot be read: interrupts are off and the code is in RAM.

use attoformer_board::flash::{self, FlashError, PAGE, pages};
use attoformer_protocol::boards::Region;
use rp235x_hal::{pac, rom_data};

use crate::BOARD;

/// Size and command of a block: with them the boot ROM erases whole blocks faster.
const BLOCK: (u32, u8) = (1 << 16, 0xd8);

/// The flash of the board.
pub struct Controller;

impl flash::Controller for Controller {
    const WRITE: usize = 1;
    const SECTOR: usize = 4096;

    fn erase(&mut self, sector: Region) -> Result<(), FlashError> {
        run(&Command { offset: sector.start - BOARD.flash.start, bytes: sector.bytes as usize, data: core::ptr::null() });
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        pages(address, bytes, |at, page| {
            run(&Command { offset: at - BOARD.flash.start, bytes: PAGE, data: page.as_ptr() });
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

/// The boot ROM's functions, looked up before they are used, and the settings of fast reading.
struct Rom {
    connect_internal_flash: unsafe extern "C" fn(),
    flash_exit_xip: unsafe extern "C" fn(),
    flash_range_erase: unsafe extern "C" fn(u32, usize, u32, u8),
    flash_range_program: unsafe extern "C" fn(u32, *const u8, usize),
    flash_flush_cache: unsafe extern "C" fn(),
    /// Timing, format and command of a read, as the boot ROM found them: its functions leave a slow one.
    reading: [u32; 3],
}

/// Runs a command on a range of models.
fn run(command: &Command) {
    // SAFETY: the registers of the flash's interface are only read here.
    let qmi = unsafe { &*pac::QMI::ptr() };
    let rom = Rom {
        connect_internal_flash: rom_data::connect_internal_flash::ptr(),
        flash_exit_xip: rom_data::flash_exit_xip::ptr(),
        flash_range_erase: rom_data::flash_range_erase::ptr(),
        flash_range_program: rom_data::flash_range_program::ptr(),
        flash_flush_cache: rom_data::flash_flush_cache::ptr(),
        reading: [qmi.m0_timing().read().bits(), qmi.m0_rfmt().read().bits(), qmi.m0_rcmd().read().bits()],
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
    // SAFETY: the order of calls that the RP2350 datasheet gives in section 5.4.4 (flash_range_erase); the caller promises the rest. Afterwards the
    // registers get the values that they had.
    unsafe {
        (rom.connect_internal_flash)();
        (rom.flash_exit_xip)();
        if command.data.is_null() {
            (rom.flash_range_erase)(command.offset, command.bytes, BLOCK.0, BLOCK.1);
        } else {
            (rom.flash_range_program)(command.offset, command.data, command.bytes);
        }
        (rom.flash_flush_cache)();
        let qmi = &*pac::QMI::ptr();
        let [timing, format, command] = rom.reading;
        qmi.m0_timing().write(|w| w.bits(timing));
        qmi.m0_rfmt().write(|w| w.bits(format));
        qmi.m0_rcmd().write(|w| w.bits(command));
    }
}
