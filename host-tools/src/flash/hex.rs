//! Intel HEX files: lines with an offset, up to 16 bytes and a checksum; a line of type 4 sets the upper half of the address.

use super::segment::Segment;

/// Bytes of a line.
const LINE: usize = 16;
/// Bytes that share the upper half of their addresses.
const HALF: u32 = 1 << 16;

/// Writes segments as Intel HEX.
pub fn encode(segments: &[Segment<'_>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut upper = None;
    for segment in segments {
        let mut at = 0;
        while at < segment.bytes.len() {
            let address = segment.address + at as u32;
            // A line ends where the upper half changes.
            let count = LINE.min(segment.bytes.len() - at).min((HALF - address % HALF) as usize);
            if upper != Some(address / HALF) {
                upper = Some(address / HALF);
                record(&mut file, 4, 0, &((address / HALF) as u16).to_be_bytes());
            }
            record(&mut file, 0, (address % HALF) as u16, &segment.bytes[at..at + count]);
            at += count;
        }
    }
    record(&mut file, 1, 0, &[]);
    file
}

/// Appends a line.
fn record(file: &mut Vec<u8>, kind: u8, offset: u16, bytes: &[u8]) {
    let [high, low] = offset.to_be_bytes();
    let line: Vec<u8> = [&[bytes.len() as u8, high, low, kind], bytes].concat();
    let checksum = line.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    file.push(b':');
    for byte in line.iter().chain([&checksum]) {
        file.extend(format!("{byte:02X}").bytes());
    }
    file.extend(b"\r\n");
}
