//! A firmware, from an ELF or a UF2 file, that suits a board.

use attoformer::image::Image;
use attoformer_protocol::boards::{Board, Boot};

use super::boot::{check_processor, check_start};
use super::elf;
use super::error::FlashError;
use super::segment::{Segment, overlap};
use super::statement::Statement;
use super::uf2;

/// A firmware.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    /// Bytes to write, in the order of addresses.
    pub segments: Vec<Segment<'a>>,
    /// The statement of board and features in the firmware.
    pub statement: Statement,
}

impl<'a> Program<'a> {
    /// Reads a firmware and checks that it is made for this board.
    ///
    /// # Errors
    /// [`FlashError`]: the file cannot be read, or it is made for another board.
    pub fn read(board: &'static Board, bytes: &'a [u8]) -> Result<Self, FlashError> {
        let program = if uf2::is_uf2(bytes) { Self::of_uf2(board, bytes)? } else { Self::of_elf(board, bytes)? };
        if let Some(found) = program.statement.board.clone().filter(|found| found != board.name) {
            return Err(FlashError::OtherBoard { board: board.name, found });
        }
        program.check_regions(board)?;
        check_start(board, &program.segments)?;
        Ok(program)
    }

    fn of_elf(board: &'static Board, bytes: &'a [u8]) -> Result<Self, FlashError> {
        let elf::Elf { segments, processor, statement } = elf::read(bytes)?;
        // The statement names the other board, which says more than its processor.
        if let Some(found) = statement.board.clone().filter(|found| found != board.name) {
            return Err(FlashError::OtherBoard { board: board.name, found });
        }
        check_processor(board, &processor)?;
        Ok(Program { segments, statement })
    }

    fn of_uf2(board: &'static Board, bytes: &'a [u8]) -> Result<Self, FlashError> {
        let (family, segments) = uf2::decode(bytes)?;
        if board.uf2_family != Some(family) {
            let expected = board.uf2_family.map_or("no UF2 files".to_owned(), |family| format!("{family:#010x}"));
            return Err(FlashError::Family { board: board.name, found: family, expected });
        }
        if let Some((first, second)) = overlap(&segments) {
            return Err(FlashError::Overlap(first, second));
        }
        Ok(Program { segments, statement: Statement::default() })
    }

    /// Refuses bytes outside the flash for programs.
    fn check_regions(&self, board: &'static Board) -> Result<(), FlashError> {
        if board.boot == Boot::Espressif {
            // Its segments have the addresses of RAM and of the memory map; espflash places them in flash.
            let (bytes, have) = (self.bytes(), u64::from(board.program.bytes));
            return if bytes > have { Err(FlashError::ProgramSize { board: board.name, bytes, have }) } else { Ok(()) };
        }
        let is_inside = |segment: &&Segment<'_>| {
            let region = segment.region();
            board.program_regions().any(|own| own.contains(region.start, region.bytes))
        };
        match self.segments.iter().find(|segment| !is_inside(segment)) {
            Some(segment) => Err(FlashError::outside(board, segment.region())),
            None => Ok(()),
        }
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes.len() as u64).sum()
    }

    /// Refuses an image that needs a feature of the engine that the firmware lacks. A firmware that does not state its features is accepted.
    ///
    /// # Errors
    /// [`FlashError::Features`].
    pub fn check_features(&self, image: &Image<'_>) -> Result<(), FlashError> {
        let Some(built_in) = &self.statement.features else { return Ok(()) };
        let needed = image.features().map(attoformer::Feature::name);
        let missing: Vec<&str> = needed.filter(|name| !built_in.iter().any(|own| own == name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let built_in = if built_in.is_empty() { "none".to_owned() } else { built_in.join(", ") };
        Err(FlashError::Features { missing: missing.join(", "), built_in })
    }
}
