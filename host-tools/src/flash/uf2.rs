//! UF2 files: blocks of 512 bytes, each with a page of 256 bytes, its address and a family of chips.
//!
//! Format: <https://github.com/microsoft/uf2>. Raspberry Pi's boot ROMs take pages of exactly 256 bytes.

use std::collections::BTreeMap;

use attoformer_protocol::boards::Flash;

use super::error::FlashError;
use super::segment::Segment;

/// Bytes of a block.
const BLOCK: usize = 512;
/// Bytes of a page.
pub const PAGE: usize = 256;
/// First two words and last word of a block.
const MAGIC: [u32; 3] = [0x0a32_4655, 0x9e5d_5157, 0x0ab1_6f30];
/// The last header word is a family.
const FAMILY_PRESENT: u32 = 0x2000;
/// Offset of a page in a block.
const PAGE_AT: usize = 32;

/// Whether a file begins like UF2.
pub fn is_uf2(bytes: &[u8]) -> bool {
    words(bytes).take(2).eq([MAGIC[0], MAGIC[1]])
}

/// Little-endian words.
fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}

/// Pages by address. Every sector that is touched is written whole, with 0xff where nothing is: an RP2040 erases a sector when its first page arrives,
/// and mishandles sectors of which pages are missing (its erratum E14).
fn pages(segments: &[Segment<'_>], flash: Flash) -> BTreeMap<u32, [u8; PAGE]> {
    let mut pages: BTreeMap<u32, [u8; PAGE]> = BTreeMap::new();
    for segment in segments {
        let mut rest = *segment;
        while !rest.bytes.is_empty() {
            let within = rest.address as usize % PAGE;
            let (part, after) = rest.bytes.split_at(rest.bytes.len().min(PAGE - within));
            let page = pages.entry(rest.address - within as u32).or_insert([0xff; PAGE]);
            page[within..within + part.len()].copy_from_slice(part);
            rest = Segment { address: rest.address + part.len() as u32, bytes: after };
        }
    }
    let touched: Vec<u32> = pages.keys().copied().collect();
    for sector in touched.into_iter().filter_map(|address| flash.sector(address)) {
        for address in (sector.start..sector.end()).step_by(PAGE) {
            pages.entry(address).or_insert([0xff; PAGE]);
        }
    }
    pages
}

/// Writes segments that are in this flash as UF2.
pub fn encode(segments: &[Segment<'_>], flash: Flash, family: u32) -> Vec<u8> {
    let pages = pages(segments, flash);
    let mut file = Vec::with_capacity(pages.len() * BLOCK);
    for (number, (address, page)) in pages.iter().enumerate() {
        let header = [MAGIC[0], MAGIC[1], FAMILY_PRESENT, *address, PAGE as u32, number as u32, pages.len() as u32, family];
        let start = file.len();
        file.extend(header.iter().flat_map(|word| word.to_le_bytes()));
        file.extend(page);
        file.resize(start + BLOCK - 4, 0);
        file.extend(MAGIC[2].to_le_bytes());
    }
    file
}

/// Reads a UF2 file: its family, and its pages in the order of addresses.
///
/// # Errors
/// [`FlashError::Uf2`]: a block is cut off, has another form, or belongs to another file; [`FlashError::Empty`].
pub fn decode(bytes: &[u8]) -> Result<(u32, Vec<Segment<'_>>), FlashError> {
    let blocks = bytes.len().div_ceil(BLOCK);
    let mut segments = Vec::with_capacity(blocks);
    let mut family = None;
    for (index, block) in bytes.chunks(BLOCK).enumerate() {
        let refuse = |what| FlashError::Uf2 { block: index, what };
        let header: Vec<u32> = words(block).take(8).collect();
        let [first, second, flags, address, size, number, total, own] = header[..] else { return Err(refuse("is cut off")) };
        let last = words(block).nth(BLOCK / 4 - 1).ok_or(refuse("is cut off"))?;
        let what = match () {
            () if [first, second, last] != MAGIC => Some("has no magic numbers"),
            () if flags != FAMILY_PRESENT => Some("has unknown flags"),
            () if size as usize != PAGE => Some("has a page of another size than 256 bytes"),
            () if !(address as usize).is_multiple_of(PAGE) => Some("has an address that is no multiple of 256"),
            () if number as usize != index || total as usize != blocks => Some("is out of order"),
            () if family.is_some_and(|family| family != own) => Some("has another family"),
            () => None,
        };
        if let Some(what) = what {
            return Err(refuse(what));
        }
        family = Some(own);
        let page = Segment::new(address, &block[PAGE_AT..PAGE_AT + PAGE]).ok_or(refuse("is beyond the address space"))?;
        segments.push(page);
    }
    segments.sort_by_key(|segment| segment.address);
    Ok((family.ok_or(FlashError::Empty)?, segments))
}
