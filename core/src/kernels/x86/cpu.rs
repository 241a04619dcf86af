//! Proof tokens for CPU features: a value of one of these types exists only after run-time detection has found the instruction set.

cpufeatures::new!(cpu_avx2, "avx2");
cpufeatures::new!(cpu_avx512, "avx512f", "avx512bw", "avx512dq", "avx512vl");

/// AVX2 and F16C.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// Asks the CPU and its operating system.
    pub fn new() -> Option<Self> {
        // CPUID leaf 1, ECX bit 29 is F16C. A CPU with AVX2 has this leaf, and F16C needs no more support from the system than AVX2.
        let f16c = || cpuid(1).ecx >> 29 & 1 == 1;
        (cpu_avx2::get() && f16c()).then_some(Avx2(()))
    }

    /// Evidence from the compiler: without `unsafe`, only functions that are compiled for these instructions can call this.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    pub fn compiled() -> Self {
        Avx2(())
    }
}

/// AVX-512 F, BW, DQ, VL and VNNI, and [`Avx2`].
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// Asks the CPU and its operating system.
    pub fn new() -> Option<Self> {
        // CPUID leaf 7, ECX bit 11 is AVX512_VNNI. A CPU with AVX-512 has this leaf, and VNNI needs no more support from the system.
        let vnni = || cpuid(7).ecx >> 11 & 1 == 1;
        (Avx2::new().is_some() && cpu_avx512::get() && vnni()).then_some(Avx512(()))
    }

    /// Evidence from the compiler: without `unsafe`, only functions that are compiled for these instructions can call this.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,f16c")]
    #[inline]
    pub fn compiled() -> Self {
        Avx512(())
    }
}

/// CPUID of a leaf, subleaf 0.
#[allow(unused_unsafe, reason = "the intrinsic is unsafe up to the minimum supported Rust version and safe in later ones")]
fn cpuid(leaf: u32) -> core::arch::x86_64::CpuidResult {
    // SAFETY: every x86-64 CPU has the instruction.
    unsafe { core::arch::x86_64::__cpuid_count(leaf, 0) }
}
