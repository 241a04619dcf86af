//! The memory map of `memory.x`: the arena, and the end of the stack.

unsafe extern "C" {
    static _arena_start: u8;
    static _arena_end: u8;
    #[cfg(target_arch = "arm")]
    static _stack_end: u8;
}

/// Address at which the stack ends: the first byte after the statics.
#[cfg(target_arch = "arm")]
pub fn stack_end() -> usize {
    (&raw const _stack_end).addr()
}

/// RAM for the arena, from `_arena_start` to `_arena_end`.
///
/// # Safety
/// It is called once, and the linker script keeps this RAM outside every section.
pub unsafe fn arena() -> &'static mut [u8] {
    let start = (&raw const _arena_start).cast_mut();
    let bytes = (&raw const _arena_end).addr() - start.addr();
    // SAFETY: the caller promises unused RAM and makes this the only reference. Every value of its bytes is valid; the volatile writes give them one.
    unsafe {
        for at in 0..bytes {
            start.add(at).write_volatile(0);
        }
        core::slice::from_raw_parts_mut(start, bytes)
    }
}
