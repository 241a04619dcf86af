//! A CPU whose floating-point mode differs from IEEE 754 is refused. A test binary of its own, because the mode belongs to the thread.
#![cfg(target_arch = "x86_64")]

use std::arch::asm;

use attoformer::image::KvType;
use attoformer::{Error, Image, Plan, Session, arena_bytes};
use attoformer_tests::random_model::RandomModel;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;

const DENORMALS_ARE_ZERO: u32 = 1 << 6;
const FLUSH_TO_ZERO: u32 = 1 << 15;
const ROUND_DOWN: u32 = 1 << 13;
const ROUND_UP: u32 = 2 << 13;
const ROUND_TO_ZERO: u32 = 3 << 13;

/// Runs `work` with more bits set in MXCSR, then restores it.
fn with_mode<T>(bits: u32, work: impl FnOnce() -> T) -> T {
    let mut before = 0u32;
    // SAFETY: stores the control register to a local u32.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut before, options(nostack)) };
    let changed = before | bits;
    // SAFETY: loads bits that exist on every x86-64; `work` only opens a session, which probes the mode and expects any.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const changed, options(nostack, readonly)) };
    let result = work();
    // SAFETY: loads the previous value.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const before, options(nostack, readonly)) };
    result
}

#[test]
fn a_session_refuses_another_float_mode() {
    let image = RandomModel::small().pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let modes = [
        ("denormals are zero", DENORMALS_ARE_ZERO),
        ("flush to zero", FLUSH_TO_ZERO),
        ("both", DENORMALS_ARE_ZERO | FLUSH_TO_ZERO),
        ("down", ROUND_DOWN),
        ("up", ROUND_UP),
        ("to zero", ROUND_TO_ZERO),
    ];
    for (name, bits) in modes {
        let refused = with_mode(bits, || Session::new(&image, &mut arena).map(|_| ()));
        assert_eq!(refused, Err(Error::FloatMode), "{name}");
        assert!(Session::new(&image, &mut arena).is_ok(), "after {name} the default is back");
    }
}
