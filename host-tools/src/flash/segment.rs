//! Bytes that are to be written to flash.

use attoformer_protocol::boards::Region;

/// Bytes at an address of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Address of the first byte.
    pub address: u32,
    /// The bytes; they end below 4 GiB.
    pub bytes: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Bytes at an address; `None` if they would reach the end of the address space.
    pub fn new(address: u32, bytes: &'a [u8]) -> Option<Self> {
        let length = u32::try_from(bytes.len()).ok()?;
        address.checked_add(length).map(|_| Segment { address, bytes })
    }

    /// The region that the bytes occupy.
    pub fn region(&self) -> Region {
        Region::new(self.address, self.bytes.len() as u32)
    }
}

/// The first two segments, in the order of addresses, that have a byte in common.
pub fn overlap(segments: &[Segment<'_>]) -> Option<(Region, Region)> {
    let mut regions: Vec<Region> = segments.iter().map(Segment::region).collect();
    regions.sort_by_key(|region| region.start);
    regions.windows(2).find(|pair| pair[0].overlaps(pair[1])).map(|pair| (pair[0], pair[1]))
}
