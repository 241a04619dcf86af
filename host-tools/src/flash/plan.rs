//! The plan of a write: the segments of the firmware, the model in the first slot, and the sectors that are erased for them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use attoformer_protocol::boards::{Board, Boot, Region};
use serde::Serialize;

use super::program::Program;
use super::segment::Segment;
use crate::report::table::{Table, thousands};

/// Bytes of a page in a report: the unit of UF2 files and of the flash chips of Raspberry Pi's boards.
const PAGE: u32 = 256;

/// Firmware and model to write.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The board.
    pub board: &'static Board,
    /// The firmware; `None` to write the model alone.
    pub program: Option<Program<'a>>,
    /// The image.
    pub image: &'a [u8],
}

impl<'a> Plan<'a> {
    /// The image at the first slot, whose size was checked.
    pub fn model(&self) -> Segment<'a> {
        Segment { address: self.board.models.slots[0], bytes: self.image }
    }

    /// Segments at addresses of flash, in the order of addresses. The firmware of an Espressif chip has none: espflash places it.
    pub fn segments(&self) -> Vec<Segment<'a>> {
        let program =
            self.program.iter().filter(|_| self.board.boot != Boot::Espressif).flat_map(|program| program.segments.iter().copied());
        let mut segments: Vec<Segment<'a>> = program.chain([self.model()]).collect();
        segments.sort_by_key(|segment| segment.address);
        segments
    }

    /// Regions that are written. For the firmware of an Espressif chip: as many bytes as it has, from the start of the program's flash on.
    fn regions(&self) -> Vec<Region> {
        let mut regions: Vec<Region> = self.segments().iter().map(Segment::region).collect();
        if let Some(program) = self.program.as_ref().filter(|_| self.board.boot == Boot::Espressif) {
            regions.insert(0, Region::new(self.board.program.start, program.bytes() as u32));
        }
        regions
    }

    /// Sectors that are erased, in the order of addresses.
    pub fn sectors(&self) -> Vec<Region> {
        let mut sectors = BTreeMap::new();
        for region in self.regions() {
            let mut at = region.start;
            while let Some(sector) = self.board.flash.sector(at).filter(|_| at < region.end()) {
                sectors.insert(sector.start, sector);
                at = sector.end();
            }
        }
        sectors.into_values().collect()
    }

    /// Pages with at least one byte.
    fn pages(&self) -> u64 {
        let mut last = None;
        let mut pages = 0;
        for region in self.regions().iter().filter(|region| region.bytes > 0) {
            let (first, end) = (region.start / PAGE, (region.end() - 1) / PAGE);
            pages += u64::from(end - first + 1) - u64::from(last == Some(first));
            last = Some(end);
        }
        pages
    }

    /// Pages of a UF2 file, which holds whole sectors.
    fn uf2_pages(&self) -> u64 {
        self.sectors().iter().map(|sector| u64::from(sector.bytes / PAGE)).sum()
    }

    /// The report of this plan. `output` is the file, `firmware` the file of the firmware.
    pub fn report(&self, firmware: Option<&Path>, output: Option<&Path>, is_uf2: bool, written: bool) -> Report {
        let sectors = self.sectors();
        let mut erase: Vec<Erase> = Vec::new();
        for sector in &sectors {
            match erase.last_mut() {
                Some(run) if run.sector_bytes == sector.bytes && run.start + run.sector_bytes * run.count == sector.start => run.count += 1,
                _ => erase.push(Erase { start: sector.start, sector_bytes: sector.bytes, count: 1 }),
            }
        }
        let display = |path: &Path| path.display().to_string();
        Report {
            board: self.board.name,
            firmware: firmware.map(display),
            firmware_bytes: self.program.as_ref().map_or(0, Program::bytes),
            model_bytes: self.image.len() as u64,
            model_at: self.model().address,
            slot_bytes: self.board.models.slot_bytes,
            sectors: sectors.len(),
            pages: if is_uf2 { self.uf2_pages() } else { self.pages() },
            erase,
            output: output.map(display),
            written,
        }
    }
}

/// Summary of a plan, for people and for scripts. The field names are an interface.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the board.
    pub board: &'static str,
    /// File of the firmware.
    pub firmware: Option<String>,
    /// Bytes of the firmware in flash.
    pub firmware_bytes: u64,
    /// Bytes of the image.
    pub model_bytes: u64,
    /// Address of the image.
    pub model_at: u32,
    /// Bytes of the slot that the image is written to.
    pub slot_bytes: u32,
    /// Sectors that are erased.
    pub sectors: usize,
    /// Pages of 256 bytes that are written; in a UF2 file these fill whole sectors.
    pub pages: u64,
    /// The sectors that are erased, as runs of one size.
    pub erase: Vec<Erase>,
    /// The file that is written; without one the board itself.
    pub output: Option<String>,
    /// Whether anything was written.
    pub written: bool,
}

/// Neighboring sectors of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Erase {
    /// Address of the first.
    pub start: u32,
    /// Bytes of each.
    pub sector_bytes: u32,
    /// Their number.
    pub count: u32,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["sectors", "address", "sector bytes", "count"]);
        for (index, run) in self.erase.iter().enumerate() {
            let address = format!("{:#010x}", run.start);
            table.row([format!("run {}", index + 1), address, thousands(run.sector_bytes.into()), run.count.to_string()]);
        }
        write!(f, "{table}")?;
        let firmware = self.firmware.as_deref().unwrap_or("none");
        writeln!(f, "firmware {}: {} bytes", firmware, thousands(self.firmware_bytes))?;
        let (model, slot) = (thousands(self.model_bytes), thousands(self.slot_bytes.into()));
        writeln!(f, "model: {model} of {slot} bytes at {:#010x}", self.model_at)?;
        let target = self.output.as_deref().unwrap_or(self.board);
        let (sectors, pages) = (self.sectors, thousands(self.pages));
        let verb = if self.written { "written" } else { "nothing was written" };
        writeln!(f, "{target}: {sectors} sectors, {pages} pages of {PAGE} bytes: {verb}")
    }
}
