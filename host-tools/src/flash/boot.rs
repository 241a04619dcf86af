//! Whether a board's processor can run a firmware, and whether its chip can start it.

use attoformer_protocol::boards::{Board, Boot, Region};

use super::elf::Processor;
use super::error::FlashError;
use super::segment::Segment;

/// Architectures of Arm's attribute `Tag_CPU_arch` with a Cortex-M profile, each of which runs the code of those before it: number, name, and the
/// prefix of the compiler targets.
const ARM: [(u64, &str, &str); 7] = [
    (11, "ARMv6-M", "thumbv6m"),
    (12, "ARMv6S-M", "thumbv6m"),
    (16, "ARMv8-M Baseline", "thumbv8m.base"),
    (10, "ARMv7-M", "thumbv7m"),
    (13, "ARMv7E-M", "thumbv7em"),
    (17, "ARMv8-M Mainline", "thumbv8m.main"),
    (ARMV8_1, "ARMv8.1-M Mainline", "thumbv8m.main"),
];
/// ARMv8.1-M Mainline: a Cortex-M55, whose compiler target is that of a Cortex-M33.
const ARMV8_1: u64 = 21;

/// Bytes of the RP2040's second-stage boot code; the last four are its checksum.
const BOOT2: usize = 256;
/// Bytes in which an RP2350 looks for an image definition.
const IMAGE_DEF_WITHIN: usize = 4096;
/// First word of a block of an RP2350.
const BLOCK_START: u32 = 0xffff_ded3;
/// Kind of the item of a block that defines an image, and its size in words.
const IMAGE_TYPE: u32 = 0x0142;
/// Executable code for an RP2350: bits 0 to 3 and 12 to 14 of the flags.
const EXECUTABLE: (u32, u32) = (0x700f, 0x1001);
/// Bits 8 to 10 of the flags: 0 for Arm, 1 for RISC-V.
const CPU: (u32, u32) = (8, 7);

/// Refuses a firmware for another processor.
///
/// # Errors
/// [`FlashError::Machine`].
pub fn check_processor(board: &'static Board, processor: &Processor) -> Result<(), FlashError> {
    let refuse = |found: String| Err(FlashError::Machine { board: board.name, core: board.core, found });
    let is_arm = board.target.starts_with("thumb");
    match processor {
        Processor::Arm(_) if !is_arm => refuse("an Arm core".to_owned()),
        Processor::RiscV(_) if is_arm => refuse("a RISC-V core".to_owned()),
        Processor::Other(machine) => refuse(format!("the ELF machine {machine}")),
        Processor::Arm(Some(arch)) => {
            let own = ARM.iter().rposition(|(_, _, target)| board.target.strip_prefix(target).is_some_and(|rest| rest.starts_with('-')));
            let needs_m55 = *arch == ARMV8_1 && !board.core.contains("M55");
            match ARM.iter().position(|(number, _, _)| number == arch) {
                Some(rank) if needs_m55 || own.is_some_and(|own| rank > own) => refuse(ARM[rank].1.to_owned()),
                None => refuse(format!("an Arm core of another profile (Tag_CPU_arch {arch})")),
                Some(_) => Ok(()),
            }
        }
        Processor::RiscV(Some(isa)) => match missing_extension(board.target, isa) {
            Some(letter) => refuse(format!("{} with the extension {letter}", isa.split('_').next().unwrap_or_default())),
            None => Ok(()),
        },
        Processor::Arm(None) | Processor::RiscV(None) => Ok(()),
    }
}

/// The first standard extension of an ISA string that the compiler target lacks: `rv32i2p1_m2p0_a2p1` has i, m and a.
fn missing_extension(target: &str, isa: &str) -> Option<char> {
    let own = target.strip_prefix("riscv32").and_then(|rest| rest.split('-').next()).unwrap_or_default();
    let letters = isa.trim_start_matches("rv32").split('_').filter(|part| !part.starts_with(['z', 's', 'x']));
    letters.filter_map(|part| part.chars().next()).find(|letter| !own.contains(*letter))
}

/// Refuses a firmware that the chip could not start.
///
/// # Errors
/// [`FlashError::Boot`].
pub fn check_start(board: &'static Board, segments: &[Segment<'_>]) -> Result<(), FlashError> {
    let refuse = |what| Err(FlashError::Boot { board: board.name, what });
    let start = board.vectors.unwrap_or(board.program).start;
    match board.boot {
        Boot::Espressif => Ok(()),
        Boot::FirstByte if bytes_at(segments, start, 4).is_none() => refuse("it has no bytes at the start of its flash"),
        Boot::FirstByte => Ok(()),
        Boot::Vectors => check_vectors(board, segments, start),
        Boot::Boot2 => match bytes_at(segments, start, BOOT2) {
            Some(boot2) if has_boot2_checksum(&boot2) => check_vectors(board, segments, start + BOOT2 as u32),
            _ => refuse("its first 256 bytes are not boot code with a checksum, which an RP2040 needs"),
        },
        Boot::ImageDef => match image_cpu(&leading_bytes(segments, start)) {
            None => refuse("it has no image definition in its first 4 KB, which an RP2350 needs"),
            Some(cpu) if (cpu == 0) == board.target.starts_with("thumb") => Ok(()),
            Some(_) => refuse("its image definition is for the other cores, Arm or RISC-V"),
        },
    }
}

/// Refuses a firmware whose first two words are not the initial stack pointer and an address of its own code.
fn check_vectors(board: &'static Board, segments: &[Segment<'_>], at: u32) -> Result<(), FlashError> {
    let words = bytes_at(segments, at, 8);
    let word = |index: usize| words.as_deref().and_then(|bytes| bytes.chunks_exact(4).nth(index)).map(word);
    let is_code = |address: u32| address & 1 == 1 && segments.iter().any(|segment| segment.region().contains(address - 1, 2));
    let is_stack = |address: u32| address.is_multiple_of(4) && address >= 0x1000_0000 && !board.flash.region().contains(address, 1);
    match (word(0), word(1)) {
        (Some(stack), Some(reset)) if is_stack(stack) && is_code(reset) => Ok(()),
        _ => Err(FlashError::Boot { board: board.name, what: "it has no vector table at the start of its flash" }),
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

/// The bytes from an address on, if the firmware has them all.
fn bytes_at(segments: &[Segment<'_>], address: u32, count: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count);
    for segment in segments {
        let region = Region::new(address + bytes.len() as u32, 1);
        if segment.region().contains(region.start, 1) {
            let from = &segment.bytes[(region.start - segment.address) as usize..];
            bytes.extend_from_slice(&from[..from.len().min(count - bytes.len())]);
        }
        if bytes.len() == count {
            return Some(bytes);
        }
    }
    None
}

/// The first bytes of the program, with 0xff where it has none.
fn leading_bytes(segments: &[Segment<'_>], start: u32) -> Vec<u8> {
    let mut bytes = vec![0xff; IMAGE_DEF_WITHIN];
    for segment in segments {
        let Some(at) = segment.address.checked_sub(start).map(|at| at as usize).filter(|at| *at < bytes.len()) else { continue };
        let count = segment.bytes.len().min(bytes.len() - at);
        bytes[at..at + count].copy_from_slice(&segment.bytes[..count]);
    }
    bytes
}

/// Whether the last four bytes are the CRC-32 (polynomial 04C11DB7, from all ones, most significant bit first) of the others.
fn has_boot2_checksum(boot2: &[u8]) -> bool {
    let (code, checksum) = boot2.split_at(BOOT2 - 4);
    let step = |crc: u32| if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
    let crc = code.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| step(crc)));
    word(checksum) == crc
}

/// The processor in the image definition of an RP2350's program.
fn image_cpu(bytes: &[u8]) -> Option<u32> {
    let words: Vec<u32> = bytes.chunks_exact(4).map(word).collect();
    words.windows(2).find_map(|pair| {
        let flags = pair[1] >> 16;
        let is_image = pair[0] == BLOCK_START && pair[1] & 0xffff == IMAGE_TYPE && flags & EXECUTABLE.0 == EXECUTABLE.1;
        is_image.then_some(flags >> CPU.0 & CPU.1)
    })
}
