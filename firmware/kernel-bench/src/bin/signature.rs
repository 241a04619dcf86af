//! Cost of verifying a signature on the emulated chip: instructions of the curve, instructions of the hash, stack.
//!
//! Prints one JSON object. The counts are the emulator's instructions, not cycles. The exit status is 0 only if the signature was accepted and one of
//! another message was refused. With the feature `bare` the verification is left out: the difference in program size is its flash.
#![no_std]
#![no_main]

use attoformer_firmware::{Counter, Ticks};
use attoformer_signature::Verifier;
use core::hint::black_box;
use cortex_m_rt::STACK_PAINT_VALUE;
use semihosting::println;

/// Bytes of the message whose hash is counted.
const BYTES: usize = 16 * 1024;
/// Bytes of a piece: a sector of most flash memories.
const PIECE: [u8; 4096] = [0xa5; 4096];

/// TEST 3 of RFC 8032, section 7.1.
const MESSAGE: [u8; 2] = [0xaf, 0x82];
#[rustfmt::skip]
const KEY: [u8; 32] = [
    0xfc, 0x51, 0xcd, 0x8e, 0x62, 0x18, 0xa1, 0xa3, 0x8d, 0xa4, 0x7e, 0xd0, 0x02, 0x30, 0xf0, 0x58,
    0x08, 0x16, 0xed, 0x13, 0xba, 0x33, 0x03, 0xac, 0x5d, 0xeb, 0x91, 0x15, 0x48, 0x90, 0x80, 0x25,
];
#[rustfmt::skip]
const SIGNATURE: [u8; 64] = [
    0x62, 0x91, 0xd6, 0x57, 0xde, 0xec, 0x24, 0x02, 0x48, 0x27, 0xe6, 0x9c, 0x3a, 0xbe, 0x01, 0xa3,
    0x0c, 0xe5, 0x48, 0xa2, 0x84, 0x74, 0x3a, 0x44, 0x5e, 0x36, 0x80, 0xd7, 0xdb, 0x5a, 0xc3, 0xac,
    0x18, 0xff, 0x9b, 0x53, 0x8d, 0x16, 0xf2, 0x90, 0xae, 0x67, 0xf7, 0x60, 0x98, 0x4d, 0xc6, 0x59,
    0x4a, 0x7c, 0x15, 0xe9, 0x71, 0x6e, 0xd2, 0x8d, 0xc0, 0x27, 0xbe, 0xce, 0xea, 0x1e, 0xc4, 0x0a,
];

#[cortex_m_rt::entry]
fn main() -> ! {
    // SysTick runs at 25 MHz on the mps2 boards: 40 instructions of one nanosecond.
    let mut counter = Counter::start(Ticks { instructions: 40, per: 1 });
    let before = high_water();
    let (accepted, short) = counter.count(|| is_genuine(&MESSAGE, 1));
    let (refused, long) = counter.count(|| !is_genuine(&PIECE, BYTES / PIECE.len()));
    let (stack, per_byte) = (high_water() - before, long.saturating_sub(short) * 10 / BYTES as u64);
    println!("{{\"verify\":{short},\"hash_per_byte\":{}.{},\"stack\":{stack}}}", per_byte / 10, per_byte % 10);
    semihosting::process::exit(if accepted && refused { 0 } else { 1 })
}

/// Whether the signature is one of a message of equal pieces.
#[inline(never)]
fn is_genuine(piece: &[u8], pieces: usize) -> bool {
    if cfg!(feature = "bare") {
        return black_box(piece).len() < pieces;
    }
    let Some(mut verifier) = Verifier::new(black_box(&KEY), black_box(&SIGNATURE)) else { return false };
    (0..pieces).for_each(|_| verifier.update(black_box(piece)));
    verifier.finish()
}

unsafe extern "C" {
    // From the runtime crate's linker script: the highest and the lowest address of the stack.
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Bytes of stack in use at the deepest point so far.
fn high_water() -> usize {
    let (top, mut word) = (&raw const _stack_start, &raw const _stack_end);
    // SAFETY: all words from `_stack_end` to `_stack_start` are readable RAM. The reads are volatile because live frames change below the compiler's view.
    while word < top && unsafe { word.read_volatile() } == STACK_PAINT_VALUE {
        word = word.wrapping_add(1);
    }
    top.addr() - word.addr()
}
