//! The memory map of the linker script: regions, sizes, high-water marks of arena and stack.

use attoformer_protocol::job::MAX_JOB;
use core::sync::atomic::{AtomicBool, Ordering};

/// Value of every painted byte until the program writes it.
const PAINT: u8 = 0xcc;
/// Bytes below the stack pointer that painting skips: its own frame.
#[cfg(target_arch = "riscv32")]
const OWN_FRAME: usize = 256;

unsafe extern "C" {
    // From each board's memory.x.
    static _job_start: u8;
    static _arena_start: u8;
    static _arena_end: u8;
    static _stack_start: u8;
    // From the runtime crate's linker script.
    static __sidata: u8;
    static __sdata: u8;
    static __edata: u8;
    static __sbss: u8;
    static __euninit: u8;
    #[cfg(target_arch = "arm")]
    static __vector_table: u8;
    #[cfg(target_arch = "arm")]
    static _stack_end: u8;
    #[cfg(target_arch = "riscv32")]
    static __stext: u8;
    #[cfg(target_arch = "riscv32")]
    static __estack: u8;
}

/// The address of a linker symbol.
macro_rules! address {
    ($symbol:ident) => {
        (&raw const $symbol).addr()
    };
}

/// The bytes of the job region.
pub fn job_block() -> &'static [u8] {
    // SAFETY: memory.x keeps MAX_JOB bytes of readable memory here, outside every section, and the program never writes them.
    unsafe { core::slice::from_raw_parts(&raw const _job_start, MAX_JOB) }
}

/// The image at an address.
///
/// # Safety
/// `bytes` bytes at `at` are readable memory outside the program, its RAM and the arena, and nothing writes them while the program runs.
pub unsafe fn image(at: u32, bytes: u32) -> &'static [u8] {
    let pointer = core::ptr::with_exposed_provenance(at as usize);
    // SAFETY: the caller promises readable memory that nothing writes.
    unsafe { core::slice::from_raw_parts(pointer, bytes as usize) }
}

/// The whole arena region, painted; `None` from the second call on.
pub fn take_arena() -> Option<&'static mut [u8]> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    // A single thread, so a load and a store suffice; ARMv6-M has no atomic swap.
    if TAKEN.load(Ordering::Relaxed) {
        return None;
    }
    TAKEN.store(true, Ordering::Relaxed);
    let bytes = address!(_arena_end) - address!(_arena_start);
    let start = (&raw const _arena_start).cast_mut();
    // SAFETY: memory.x keeps this region of RAM outside every section, and `TAKEN` makes this the only reference to it.
    let arena = unsafe {
        start.write_bytes(PAINT, bytes);
        core::slice::from_raw_parts_mut(start, bytes)
    };
    Some(arena)
}

/// Bytes of a painted region up to the last written one.
pub fn arena_high_water(arena: &[u8]) -> usize {
    arena.iter().rposition(|&byte| byte != PAINT).map_or(0, |last| last + 1)
}

/// Paints the free part of the stack. On Cortex-M the runtime crate has painted it before `main`.
pub fn paint_stack() {
    #[cfg(target_arch = "riscv32")]
    {
        let here: usize;
        // SAFETY: reads the stack pointer and nothing else.
        unsafe { core::arch::asm!("mv {}, sp", out(reg) here, options(nomem, nostack, preserves_flags)) };
        let bottom = (&raw const __estack).cast_mut();
        let free = here.saturating_sub(OWN_FRAME).saturating_sub(bottom.addr());
        for at in 0..free {
            // SAFETY: the memory between the end of the statics and the stack pointer is unused stack.
            unsafe { bottom.add(at).write_volatile(PAINT) };
        }
    }
}

/// Stack size in use at the deepest point so far, in bytes.
pub fn stack_high_water() -> usize {
    #[cfg(target_arch = "arm")]
    let bottom = &raw const _stack_end;
    #[cfg(target_arch = "riscv32")]
    let bottom = &raw const __estack;
    let size = address!(_stack_start) - bottom.addr();
    let mut untouched = 0;
    // SAFETY: the stack region is readable RAM. The reads are volatile because live frames change without the compiler's knowledge.
    while untouched < size && unsafe { bottom.add(untouched).read_volatile() } == PAINT {
        untouched += 1;
    }
    size - untouched
}

/// Bytes of statics in RAM.
pub fn static_bytes() -> usize {
    (address!(__edata) - address!(__sdata)) + (address!(__euninit) - address!(__sbss))
}

/// Bytes of the program in flash.
pub fn code_bytes() -> usize {
    #[cfg(target_arch = "arm")]
    let start = address!(__vector_table);
    #[cfg(target_arch = "riscv32")]
    let start = address!(__stext);
    address!(__sidata) + (address!(__edata) - address!(__sdata)) - start
}
