//! x86-64: AVX2, and AVX-512 with VNNI. Code that both share is written once over [`vector::Vector`].

#![allow(unsafe_code)]

mod avx2;
mod avx512;
mod cpu;
mod elementwise;
mod exp;
mod softmax;
mod vector;

use super::set::Kernels;

/// Sets that this CPU can run, the fastest last.
pub fn sets() -> impl DoubleEndedIterator<Item = &'static Kernels> {
    [cpu::Avx2::new().map(avx2::kernels), cpu::Avx512::new().map(avx512::kernels)].into_iter().flatten()
}
