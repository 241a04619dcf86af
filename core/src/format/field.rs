//! Little-endian reads and writes at fixed offsets.
//!
//! A read is a `const fn` and cannot panic: bytes outside the slice read as zero. A write outside the slice changes nothing.

const fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    if let Some((_, rest)) = bytes.split_at_checked(at)
        && let Some(array) = rest.first_chunk::<N>()
    {
        *array
    } else {
        [0; N]
    }
}

/// The byte at `at`.
pub const fn u8_at(bytes: &[u8], at: usize) -> u8 {
    u8::from_le_bytes(array_at(bytes, at))
}

/// The 16-bit number at `at`.
pub const fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

/// The 32-bit number at `at`.
pub const fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

/// The 32-bit float at `at`.
pub const fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}

/// Writes the bytes of a value at `at`.
pub fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    let field = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>());
    debug_assert!(field.is_some(), "a field lies outside the bytes that hold it");
    if let Some(field) = field {
        *field = value;
    }
}
