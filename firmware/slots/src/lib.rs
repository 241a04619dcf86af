//! Two model slots on NOR flash: one runs while the other takes an upload.
//!
//! ```text
//! upload: begin -> write, sector by sector -> finish: checksum, signature, version, arena, features, self-test -> one record switches
//! ```
//!
//! Whatever interrupts it, the board runs a whole model: the old one until the record of the switch is written, the new one after it.
//!
//! - An upload goes on at the last whole sector that the [journal](journal::State) names.
//! - An image that a flash tool wrote into a slot is found at the start, because the journal does not know it, and becomes the running one.
//! - With a key, an image runs only if its signature is that of the key; without one, signed and unsigned images run.
//! - A model older than the least version never runs. The least version only rises.
#![no_std]

mod flash;
mod journal;
mod refusal;
mod upload;
mod verify;

pub use flash::MappedFlash;
pub use journal::{Pending, State};
pub use refusal::Refusal;

use attoformer::image::checksum;
use attoformer::internals::format::HEADER_BYTES;
use attoformer::{Image, Plan, arena_bytes};
use attoformer_protocol::boards::ModelFlash;
use attoformer_protocol::link::fault::Fault;

use flash::is_blank;
use journal::Journal;
use upload::Write;

/// Runs a new model's self-test.
pub type SelfTest<'t> = &'t mut dyn FnMut(&Image<'_>) -> Result<(), attoformer::Error>;

/// The slots, their journal and the upload under way.
pub struct Slots<F> {
    flash: F,
    map: ModelFlash,
    arena_bytes: u32,
    /// A key that is part of the program.
    built_in_key: Option<[u8; 32]>,
    journal: Journal,
    state: State,
    running: Option<u8>,
    write: Option<Write>,
}

impl<F: MappedFlash> Slots<F> {
    /// Opens the slots of this part of the flash, for a board with so many bytes of arena. `key` is a public key that is part of the program.
    /// No model runs before [`Slots::boot`].
    pub fn open(flash: F, map: ModelFlash, arena_bytes: u32, key: Option<[u8; 32]>) -> Self {
        let (journal, state) = Journal::load(&flash, &map);
        Self { flash, map, arena_bytes, built_in_key: key, journal, state, running: None, write: None }
    }

    /// Chooses the model to run: an image that a flash tool wrote, if it passes its self-test; else the one that ran; else the other one.
    /// `None` if no slot holds a model that can run.
    pub fn boot(&mut self, test: SelfTest<'_>) -> Option<u8> {
        self.running = None;
        let new = (0..2).find(|&slot| self.is_unknown(slot) && self.image(slot).and_then(|image| Ok(test(&image)?)).is_ok());
        let usable = |slot: &u8| self.image(*slot).is_ok();
        let last = self.state.active.unwrap_or(0).min(1);
        self.running = new.or_else(|| [last, 1 - last].into_iter().find(usable));
        if let Some(slot) = self.running {
            let known = [self.identity(0), self.identity(1)];
            let state = State { active: Some(slot), known: if new.is_some() { known } else { self.state.known }, ..self.state };
            // A flash that takes no record still runs the model.
            let _ = self.record(state);
        }
        self.running
    }

    /// Whether the slot holds an image that the journal does not know: neither a former one nor one of an unfinished upload.
    fn is_unknown(&self, slot: u8) -> bool {
        let is_pending = self.state.pending.is_some_and(|pending| pending.slot == slot && self.checksum(slot) == pending.checksum);
        let identity = self.identity(slot);
        identity != 0 && self.state.known.get(usize::from(slot)) != Some(&identity) && !is_pending
    }

    /// The slot whose model runs.
    pub fn running(&self) -> Option<u8> {
        self.running
    }

    /// The journal's state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Bytes of a slot.
    pub fn slot_bytes(&self) -> u32 {
        self.map.slot_bytes
    }

    /// The public key that models must be signed with.
    pub fn key(&self) -> Option<[u8; 32]> {
        self.built_in_key.or(self.state.key)
    }

    /// The image of the running model, checked again.
    ///
    /// # Errors
    /// [`Fault::NoModel`], or the reason why its bytes no longer are that model.
    pub fn model(&self) -> Result<Image<'_>, Refusal> {
        self.unverified(self.running.ok_or(Fault::NoModel)?)
    }

    /// The image in a slot, if it can run.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub fn image(&self, slot: u8) -> Result<Image<'_>, Refusal> {
        let image = self.unverified(slot)?;
        if let Some(key) = self.key() {
            verify::image(&key, image.bytes())?;
        }
        Ok(image)
    }

    /// The image in a slot, checked except for its signature, whose verification takes long.
    fn unverified(&self, slot: u8) -> Result<Image<'_>, Refusal> {
        let image = Image::new(self.bytes(slot).ok_or(Fault::NoSlot)?)?;
        let need = arena_bytes(image.config(), Plan::packed(image.config()));
        if need > self.arena_bytes as usize {
            return Err(Fault::Arena { need: u32::try_from(need).unwrap_or(u32::MAX), have: self.arena_bytes }.into());
        }
        self.check_version(image.model_version())?;
        Ok(image)
    }

    fn check_version(&self, version: u32) -> Result<(), Refusal> {
        let least = self.state.min_version;
        if version < least { Err(Fault::TooOld { version, least }.into()) } else { Ok(()) }
    }

    /// Whether the slot is erased at its start, where an image would begin.
    pub fn is_empty(&self, slot: u8) -> bool {
        is_blank(self.bytes(slot).and_then(|bytes| bytes.get(..HEADER_BYTES)).unwrap_or_default())
    }

    /// All bytes of a slot.
    fn bytes(&self, slot: u8) -> Option<&[u8]> {
        let start = *self.map.slots.get(usize::from(slot))?;
        Some(self.flash.bytes(start.wrapping_sub(F::BASE), self.map.slot_bytes))
    }

    /// A number that identifies an image: the checksum of its header, which contains the checksums of the rest, and of its last 64 bytes, the
    /// signature if there is one. 0 for bytes that are not an image.
    fn identity(&self, slot: u8) -> u32 {
        let Some(Ok(image)) = self.bytes(slot).map(Image::new) else { return 0 };
        let header = image.bytes().get(..HEADER_BYTES).unwrap_or_default();
        checksum(&[header, image.bytes().last_chunk::<64>().map_or(&[][..], |last| last)]).max(1)
    }

    /// CRC-32 of the image in a slot; 0 for bytes that are no image.
    pub fn checksum(&self, slot: u8) -> u32 {
        self.bytes(slot).and_then(|bytes| Image::new(bytes).ok()).map_or(0, |image| checksum(&[image.bytes()]))
    }

    /// Erases a slot. Does nothing to the journal: the slot holds no image then. The caller boots again if it was the running one.
    ///
    /// # Errors
    /// [`Fault::NoSlot`], [`Fault::Flash`].
    pub fn erase(&mut self, slot: u8) -> Result<(), Refusal> {
        let start = self.map.slots.get(usize::from(slot)).ok_or(Fault::NoSlot)?.wrapping_sub(F::BASE);
        if self.running == Some(slot) {
            self.running = None;
        }
        self.write = None;
        if self.state.pending.is_some_and(|pending| pending.slot == slot) {
            self.record(State { pending: None, ..self.state })?;
        }
        for sector in 0..self.map.slot_bytes / self.map.sector.max(1) {
            let at = start.wrapping_add(sector.wrapping_mul(self.map.sector));
            if !is_blank(self.flash.bytes(at, self.map.sector)) {
                self.flash.erase(at, at.wrapping_add(self.map.sector)).map_err(|_| Fault::Flash)?;
            }
        }
        Ok(())
    }

    /// Stores the public key of models. The caller boots again: the running model may not be signed with it.
    ///
    /// # Errors
    /// [`Fault::HasKey`] if there is another one, [`Fault::BadKey`], [`Fault::NotBuiltIn`], [`Fault::Flash`].
    pub fn provision(&mut self, key: [u8; 32]) -> Result<(), Refusal> {
        verify::check_key(&key)?;
        match self.key() {
            Some(own) if own == key => Ok(()),
            Some(_) => Err(Fault::HasKey.into()),
            None => self.record(State { key: Some(key), ..self.state }),
        }
    }

    /// Writes the state if it differs from the journal's.
    fn record(&mut self, state: State) -> Result<(), Refusal> {
        if state != self.state {
            self.journal.append(&mut self.flash, &self.map, &state)?;
            self.state = state;
        }
        Ok(())
    }
}
