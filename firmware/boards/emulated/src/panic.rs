//! The end of a program that failed: it reports over semihosting, which ends the emulator. Nothing here is reached by a request.

use core::panic::PanicInfo;

use semihosting::eprintln;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if let Some(place) = info.location() {
        eprintln!("panic at {}:{}", place.file(), place.line());
    }
    semihosting::process::exit(1)
}

#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    eprintln!("hard fault at {:#010x}", frame.pc());
    semihosting::process::exit(1)
}
