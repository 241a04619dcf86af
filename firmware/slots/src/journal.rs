//! The journal: the state of the slots, as a log of records in two sectors.
//!
//! Each record holds the whole state, a sequence number and a checksum; the valid record with the highest number counts. A record is written after the
//! last one. If its sector is full, the other sector is erased first, so the newest record is never erased: a power cut at any moment leaves the state
//! before or after the write. Bytes that are no record, whatever they are, are skipped.

use attoformer::image::checksum;

use crate::flash::{MappedFlash, is_blank};
use crate::refusal::Refusal;
use attoformer_protocol::boards::ModelFlash;
use attoformer_protocol::link::fault::Fault;

/// Bytes of a record: a multiple of every flash's write size (32 on the STM32H7).
const RECORD: usize = 128;
/// First bytes of a record.
const MAGIC: u32 = u32::from_le_bytes(*b"ATJ1");

/// State that survives a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The slot whose model runs.
    pub active: Option<u8>,
    /// Identity of the image that each slot was last seen with; another image was written by a flash tool.
    pub known: [u32; 2],
    /// Least model version that is accepted.
    pub min_version: u32,
    /// The provisioned public key.
    pub key: Option<[u8; 32]>,
    /// An upload that is not finished.
    pub pending: Option<Pending>,
}

/// An upload that is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The slot that it goes to.
    pub slot: u8,
    /// Bytes of the image.
    pub bytes: u32,
    /// CRC-32 of the image.
    pub checksum: u32,
    /// Bytes of whole sectors that are written.
    pub done: u32,
}

/// Position of the newest record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Journal {
    sector: u32,
    index: u32,
    sequence: u32,
}

impl Journal {
    /// Reads the newest state; the default without a record.
    pub(crate) fn load<F: MappedFlash>(flash: &F, map: &ModelFlash) -> (Self, State) {
        // Without a record, both sectors may hold anything: the first write erases one.
        let mut newest = (Self { sector: 1, index: map.journal_sector, sequence: 0 }, State::default());
        for sector in 0..2 {
            for index in 0..records(map) {
                let bytes = flash.bytes(offset::<F>(map, sector, index), RECORD as u32);
                if let Some((sequence, state)) = parse(bytes).filter(|(sequence, _)| *sequence > newest.0.sequence) {
                    newest = (Self { sector, index, sequence }, state);
                }
            }
        }
        newest
    }

    /// Appends a state.
    ///
    /// # Errors
    /// [`Fault::Flash`]; the state before is still the newest then.
    pub(crate) fn append<F: MappedFlash>(&mut self, flash: &mut F, map: &ModelFlash, state: &State) -> Result<(), Refusal> {
        let sequence = self.sequence.saturating_add(1);
        let record = emit(sequence, state);
        // A place that a cut left half-written is skipped.
        let free = (self.index.saturating_add(1)..records(map)).find(|&index| is_blank(record_at(flash, map, self.sector, index)));
        let (sector, index) = match free {
            Some(index) => (self.sector, index),
            None => {
                let other = 1 - self.sector.min(1);
                let start = offset::<F>(map, other, 0);
                flash.erase(start, start + map.journal_sector).map_err(|_| Fault::Flash)?;
                (other, 0)
            }
        };
        flash.write(offset::<F>(map, sector, index), &record).map_err(|_| Fault::Flash)?;
        if record_at(flash, map, sector, index) != record {
            return Err(Fault::Flash.into());
        }
        *self = Self { sector, index, sequence };
        Ok(())
    }
}

fn records(map: &ModelFlash) -> u32 {
    map.journal_sector / RECORD as u32
}

/// Offset of a record in the flash.
fn offset<F: MappedFlash>(map: &ModelFlash, sector: u32, index: u32) -> u32 {
    map.journal.wrapping_sub(F::BASE).wrapping_add(sector.wrapping_mul(map.journal_sector)).wrapping_add(index.wrapping_mul(RECORD as u32))
}

fn record_at<'f, F: MappedFlash>(flash: &'f F, map: &ModelFlash, sector: u32, index: u32) -> &'f [u8] {
    flash.bytes(offset::<F>(map, sector, index), RECORD as u32)
}

/// Writes fields one after another.
struct Fields<'r>(core::slice::IterMut<'r, u8>);

impl Fields<'_> {
    fn put(&mut self, bytes: &[u8]) {
        bytes.iter().zip(&mut self.0).for_each(|(from, to)| *to = *from);
    }

    fn word(&mut self, word: u32) {
        self.put(&word.to_le_bytes());
    }
}

fn emit(sequence: u32, state: &State) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let mut fields = Fields(record.iter_mut());
    let number = |slot: Option<u8>| slot.map_or(0, |slot| u32::from(slot) + 1);
    fields.word(MAGIC);
    fields.word(sequence);
    fields.word(number(state.active));
    fields.word(state.known[0]);
    fields.word(state.known[1]);
    fields.word(state.min_version);
    fields.word(number(state.pending.map(|pending| pending.slot)));
    let pending = state.pending.unwrap_or(Pending { slot: 0, bytes: 0, checksum: 0, done: 0 });
    fields.word(pending.bytes);
    fields.word(pending.checksum);
    fields.word(pending.done);
    fields.word(u32::from(state.key.is_some()));
    fields.put(&state.key.unwrap_or_default());
    let checksum = match record.split_last_chunk::<4>() {
        Some((fields, _)) => checksum(&[fields]).to_le_bytes(),
        None => [0; 4],
    };
    if let Some(last) = record.last_chunk_mut() {
        *last = checksum;
    }
    record
}

/// Reads fields one after another.
struct Parser<'r>(&'r [u8]);

impl Parser<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn word(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A slot's number plus one; 0 is none.
    fn slot(&mut self) -> Option<Option<u8>> {
        match self.word()? {
            0 => Some(None),
            1 => Some(Some(0)),
            2 => Some(Some(1)),
            _ => None,
        }
    }
}

fn parse(record: &[u8]) -> Option<(u32, State)> {
    let (body, stated) = record.split_last_chunk::<4>()?;
    // Most places are blank: their first bytes tell, without a checksum.
    if record.first_chunk() != Some(&MAGIC.to_le_bytes()) || checksum(&[body]).to_le_bytes() != *stated {
        return None;
    }
    let mut fields = Parser(body);
    fields.word()?;
    let sequence = fields.word()?;
    let active = fields.slot()?;
    let known = [fields.word()?, fields.word()?];
    let min_version = fields.word()?;
    let slot = fields.slot()?;
    let (bytes, checksum, done) = (fields.word()?, fields.word()?, fields.word()?);
    let has_key = fields.word()? != 0;
    let key = fields.array()?;
    let pending = slot.map(|slot| Pending { slot, bytes, checksum, done });
    Some((sequence, State { active, known, min_version, key: has_key.then_some(key), pending }))
}
