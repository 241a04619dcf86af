//! Flash that can be read in place, and the model's part of it.

use embedded_storage::nor_flash::NorFlash;

/// NOR flash that the CPU also reads as memory (XIP).
///
/// Offsets are those of the driver, beginning at [`MappedFlash::BASE`]. A write programs bits from 1 to 0 in multiples of `WRITE_SIZE`; an erase sets
/// whole sectors to 1.
pub trait MappedFlash: NorFlash {
    /// Address of offset 0, in the address space of [`attoformer_protocol::boards`].
    const BASE: u32;

    /// The bytes from `offset` on; empty if the flash does not hold them.
    fn bytes(&self, offset: u32, len: u32) -> &[u8];
}

/// Bytes that are written at once: at least the write size of every supported flash, and a page of most.
pub(crate) const PAGE: usize = 256;

/// Whether every byte is erased.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0xff)
}
