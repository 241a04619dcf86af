//! Little-endian reads that a `const fn` can do and that cannot panic: outside the bytes they give zero.

pub(crate) const fn u8_at(bytes: &[u8], at: usize) -> u8 {
    if at < bytes.len() { bytes[at] } else { 0 }
}

pub(crate) const fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u8_at(bytes, at) as u16 | (u8_at(bytes, at + 1) as u16) << 8
}

pub(crate) const fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u16_at(bytes, at) as u32 | (u16_at(bytes, at + 2) as u32) << 16
}

pub(crate) const fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}
