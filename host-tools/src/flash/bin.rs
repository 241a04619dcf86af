//! Contiguous binary files, from the lowest address on.

use super::error::FlashError;
use super::segment::Segment;

/// Most bytes that are filled between two segments: more than any flash chip of the boards has.
const GAP_MAX: u64 = 16 << 20;

/// Writes segments, in the order of addresses, as one piece; unused bytes are 0xff, like erased flash.
///
/// # Errors
/// [`FlashError::Gap`] where more would be padding than is useful.
pub fn encode(segments: &[Segment<'_>]) -> Result<Vec<u8>, FlashError> {
    let mut file: Vec<u8> = Vec::new();
    let start = segments.first().map_or(0, |segment| segment.address);
    for segment in segments {
        let (from, to) = (start + file.len() as u32, segment.address);
        let gap = u64::from(to.saturating_sub(from));
        if gap > GAP_MAX {
            return Err(FlashError::Gap { gap, from, to });
        }
        file.resize(file.len() + gap as usize, 0xff);
        file.extend_from_slice(segment.bytes);
    }
    Ok(file)
}
