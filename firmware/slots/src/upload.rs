//! Uploads: an image arrives in pieces, is written page by page, checked as a whole, and becomes the running model.

use attoformer::Image;
use attoformer::image::checksum;
use attoformer::internals::format::HEADER_BYTES;
use attoformer_protocol::link::fault::Fault;
use attoformer_protocol::link::message::Upload;

use crate::flash::{MappedFlash, PAGE};
use crate::refusal::Refusal;
use crate::verify::{self, Verifier};
use crate::{Pending, SelfTest, Slots, State};

/// Bytes of a signature, at the end of an image.
const SIGNATURE: u32 = 64;

/// The upload that is being written.
pub(crate) struct Write {
    upload: Upload,
    slot: u8,
    /// Bytes in flash.
    written: u32,
    page: [u8; PAGE],
    /// Bytes of the page.
    filled: usize,
    /// Verifies the signature while the image arrives; `None` without a key.
    verifier: Option<Verifier>,
}

impl<F: MappedFlash> Slots<F> {
    /// Begins an upload into the slot that does not run. Returns the slot and the bytes that are there from an earlier, interrupted upload of the
    /// same image.
    ///
    /// # Errors
    /// The reason why the image would be refused, as far as its announcement tells; [`Fault::Flash`].
    pub fn begin(&mut self, upload: &Upload) -> Result<(u8, u32), Refusal> {
        self.write = None;
        let limit = self.map.slot_bytes;
        if upload.bytes > limit {
            return Err(Fault::TooLarge { bytes: upload.bytes, limit }.into());
        }
        if (upload.bytes as usize) < HEADER_BYTES {
            return Err(attoformer::Error::TooShort { need: HEADER_BYTES, have: upload.bytes as usize }.into());
        }
        self.check_version(upload.version)?;
        if let Some(least) = upload.min_version.filter(|&least| least > upload.version) {
            return Err(Fault::LeastVersion { version: upload.version, least }.into());
        }
        let mut verifier = self.verifier(upload)?;
        let pending = self.pending(upload)?;
        if let Some(verifier) = &mut verifier {
            let signed = pending.done.min(upload.bytes.saturating_sub(SIGNATURE));
            verifier.update(self.slot_bytes_at(pending.slot, signed));
        }
        self.write = Some(Write { upload: *upload, slot: pending.slot, written: pending.done, page: [0xff; PAGE], filled: 0, verifier });
        Ok((pending.slot, pending.done))
    }

    /// The verifier of an upload; `None` without a key.
    fn verifier(&self, upload: &Upload) -> Result<Option<Verifier>, Refusal> {
        let Some(key) = self.key() else { return Ok(None) };
        verify::check_key(&key)?;
        let signature = upload.signature.ok_or(Fault::Unsigned)?;
        Verifier::new(&key, &signature).map(Some).ok_or(Fault::BadSignature.into())
    }

    /// The pending upload that this one continues, or a new one, recorded before its first sector is erased.
    fn pending(&mut self, upload: &Upload) -> Result<Pending, Refusal> {
        let fits =
            |pending: &Pending| pending.bytes == upload.bytes && pending.checksum == upload.checksum && Some(pending.slot) != self.running;
        if let Some(pending) = self.state.pending.filter(fits) {
            return Ok(pending);
        }
        let slot = self.running.map_or(0, |running| 1 - running.min(1));
        let pending = Pending { slot, bytes: upload.bytes, checksum: upload.checksum, done: 0 };
        self.record(State { pending: Some(pending), ..self.state })?;
        Ok(pending)
    }

    /// The first bytes of a slot.
    fn slot_bytes_at(&self, slot: u8, len: u32) -> &[u8] {
        self.bytes(slot).and_then(|bytes| bytes.get(..len as usize)).unwrap_or_default()
    }

    /// Writes the next bytes of the upload.
    ///
    /// # Errors
    /// [`Fault::NoUpload`], also for more bytes than announced; [`Fault::Flash`]. The upload has ended then, and can be begun again.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let mut write = self.write.take().ok_or(Fault::NoUpload)?;
        for &byte in bytes {
            let Some(place) = write.page.get_mut(write.filled) else { return Err(Fault::NoUpload.into()) };
            *place = byte;
            write.filled += 1;
            if u64::from(write.written) + write.filled as u64 > u64::from(write.upload.bytes) {
                return Err(Fault::NoUpload.into());
            }
            if write.filled == PAGE {
                self.write_page(&mut write)?;
            }
        }
        self.write = Some(write);
        Ok(())
    }

    /// Writes the page, after erasing its sector if it is the sector's first, and records each whole sector.
    fn write_page(&mut self, write: &mut Write) -> Result<(), Refusal> {
        let sector = self.map.sector.max(1);
        let start = self.map.slots.get(usize::from(write.slot)).ok_or(Fault::NoSlot)?.wrapping_sub(F::BASE);
        let at = start.wrapping_add(write.written);
        if write.written.checked_rem(sector) == Some(0) {
            self.flash.erase(at, at.wrapping_add(sector)).map_err(|_| Fault::Flash)?;
        }
        self.flash.write(at, &write.page).map_err(|_| Fault::Flash)?;
        let page = write.page.get(..write.filled).unwrap_or_default();
        if self.flash.bytes(at, write.filled as u32) != page {
            return Err(Fault::Flash.into());
        }
        if let Some(verifier) = &mut write.verifier {
            let signed = write.upload.bytes.saturating_sub(SIGNATURE).saturating_sub(write.written);
            verifier.update(page.get(..signed as usize).unwrap_or(page));
        }
        write.written += write.filled as u32;
        (write.filled, write.page) = (0, [0xff; PAGE]);
        if write.written.checked_rem(sector) == Some(0)
            && let Some(pending) = self.state.pending
        {
            self.record(State { pending: Some(Pending { done: write.written, ..pending }), ..self.state })?;
        }
        Ok(())
    }

    /// Checks the whole image, has it test itself and switches to it. Returns the slot. On failure the previous model keeps running.
    ///
    /// # Errors
    /// [`Fault::NoUpload`]; [`Fault::Incomplete`], after which the upload can go on; or the reason why the image does not run here, which discards it.
    pub fn finish(&mut self, test: SelfTest<'_>) -> Result<u8, Refusal> {
        let mut write = self.write.take().ok_or(Fault::NoUpload)?;
        let have = write.written.saturating_add(write.filled as u32);
        if have != write.upload.bytes {
            return Err(Fault::Incomplete { have, need: write.upload.bytes }.into());
        }
        if write.filled > 0 {
            self.write_page(&mut write)?;
        }
        let slot = write.slot;
        let accepted = self.check_upload(write, test);
        match accepted {
            Ok(state) => self.record(state)?,
            Err(refusal) => {
                self.discard(slot)?;
                return Err(refusal);
            }
        }
        self.running = Some(slot);
        Ok(slot)
    }

    /// The journal's state after the switch to the image that was written.
    fn check_upload(&self, write: Write, test: SelfTest<'_>) -> Result<State, Refusal> {
        let Write { upload, slot, verifier, .. } = write;
        if checksum(&[self.slot_bytes_at(slot, upload.bytes)]) != upload.checksum {
            return Err(Fault::Checksum.into());
        }
        let image: Image<'_> = self.unverified(slot)?;
        if image.bytes().len() != upload.bytes as usize || image.model_version() != upload.version {
            return Err(Fault::Checksum.into());
        }
        if let Some(verifier) = verifier {
            let announced = upload.signature.as_ref().map(|signature| &signature[..]);
            if !image.is_signed() {
                return Err(Fault::Unsigned.into());
            }
            if image.bytes().last_chunk::<64>().map(|signature| &signature[..]) != announced || !verifier.finish() {
                return Err(Fault::BadSignature.into());
            }
        }
        test(&image)?;
        let mut known = self.state.known;
        if let Some(known) = known.get_mut(usize::from(slot)) {
            *known = self.identity(slot);
        }
        let min_version = upload.min_version.unwrap_or(0).max(self.state.min_version);
        Ok(State { active: Some(slot), known, min_version, pending: None, ..self.state })
    }

    /// Removes an image that was refused: erases its first sector, so that it is none, before the journal forgets the upload.
    fn discard(&mut self, slot: u8) -> Result<(), Refusal> {
        if let Some(start) = self.map.slots.get(usize::from(slot)) {
            let start = start.wrapping_sub(F::BASE);
            self.flash.erase(start, start.wrapping_add(self.map.sector)).map_err(|_| Fault::Flash)?;
        }
        self.record(State { pending: None, ..self.state })
    }
}
