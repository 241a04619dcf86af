//! Little-endian reads that a `const fn` can do and that cannot panic: outside the bytes they give zero.

const fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    if let Some((_, rest)) = bytes.split_at_checked(at)
        && let Some(array) = rest.first_chunk::<N>()
    {
        *array
    } else {
        [0; N]
    }
}

pub(crate) const fn u8_at(bytes: &[u8], at: usize) -> u8 {
    u8::from_le_bytes(array_at(bytes, at))
}

pub(crate) const fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) const fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) const fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}
