//! Requests about the board and its slots.

use attoformer::image::Dtype;
use attoformer::{Feature, Image, NUMERICS};
use attoformer_protocol::link::fault::Fault;
use attoformer_protocol::link::message::{Done, Hello, Reply, SlotInfo, SlotState, Upload};
use attoformer_slots::{MappedFlash, Refusal};

use super::{Server, arena_of, replies, self_test};
use crate::board::Board;

impl<B: Board, F: MappedFlash> Server<'_, B, F> {
    pub(super) fn hello(&mut self) -> Result<(), Refusal> {
        let built_in = Feature::ALL.iter().enumerate().filter(|(_, feature)| feature.is_built_in());
        let hello = Hello {
            board: self.about.name,
            engine: env!("CARGO_PKG_VERSION"),
            numerics: NUMERICS,
            features: built_in.fold(0, |bits, (index, _)| bits | 1_u32.wrapping_shl(index as u32)),
            arena_bytes: u32::try_from(self.arena.len()).unwrap_or(u32::MAX),
            slot_bytes: self.slots.slot_bytes(),
            ticks_per_second: self.board.ticks_per_second(),
            counts: self.board.counts(),
            running: self.slots.running(),
            has_key: self.slots.key().is_some(),
            min_version: self.slots.state().min_version,
        };
        self.port.send(&mut self.board, &Reply::Hello(hello));
        Ok(())
    }

    pub(super) fn slot_info(&mut self, slot: u8) -> Result<(), Refusal> {
        let Self { slots, port, board, about, .. } = self;
        let empty = SlotInfo {
            state: SlotState::Empty,
            bytes: 0,
            checksum: 0,
            golden: 0,
            arena_bytes: 0,
            version: 0,
            is_signed: false,
            has_fast_layout: true,
            labels: 0,
            sample_rate: 0,
            row_width: 0,
            name: "",
        };
        let pending = slots.state().pending.filter(|pending| pending.slot == slot);
        match slots.image(slot) {
            Err(Refusal::Fault(Fault::NoSlot)) => return Err(Fault::NoSlot.into()),
            Ok(image) if pending.is_none() => {
                let is_running = slots.running() == Some(slot);
                let info = SlotInfo { state: if is_running { SlotState::Running } else { SlotState::Ready }, ..empty };
                let checksum = slots.checksum(slot);
                port.send(board, &Reply::Slot(describe(&image, checksum, about.layout, info)));
            }
            Ok(_) | Err(_) if pending.is_some() => {
                let (done, bytes) = pending.map_or((0, 0), |pending| (pending.done, pending.bytes));
                port.send(board, &Reply::Slot(SlotInfo { state: SlotState::Uploading { done, bytes }, ..empty }));
            }
            Err(_) if slots.is_empty(slot) => port.send(board, &Reply::Slot(empty)),
            Ok(_) => {}
            Err(refusal) => {
                replies::with_fault(refusal, |fault| port.send(board, &Reply::Slot(SlotInfo { state: SlotState::Bad(fault), ..empty })));
            }
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, upload: &Upload) -> Result<(), Refusal> {
        self.failed = None;
        let (slot, at) = self.slots.begin(upload)?;
        self.log.add(if at == 0 { "an upload begins" } else { "an interrupted upload goes on" });
        self.send(&Reply::Resume { slot, at });
        Ok(())
    }

    /// Writes a chunk. Its failure is the reply to the request that ends the upload.
    pub(super) fn chunk(&mut self, bytes: &[u8]) {
        if let Err(refusal) = self.slots.write(bytes) {
            self.failed.get_or_insert(refusal);
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), Refusal> {
        let start = self.board.ticks();
        if let Some(refusal) = self.failed.take() {
            return Err(refusal);
        }
        let Self { slots, arena, .. } = self;
        slots.finish(&mut |image| self_test(image, arena))?;
        self.measure_model();
        self.log.add("the uploaded model runs");
        let ticks = self.board.ticks().wrapping_sub(start);
        self.done(Done { output_hash: self.slots.model()?.golden().hash, ticks, ..Done::default() });
        Ok(())
    }

    pub(super) fn erase(&mut self, slot: u8) -> Result<(), Refusal> {
        let was_running = self.slots.running() == Some(slot);
        self.slots.erase(slot)?;
        if was_running {
            self.boot();
        }
        self.done(Done::default());
        Ok(())
    }

    pub(super) fn provision(&mut self, key: [u8; 32]) -> Result<(), Refusal> {
        self.slots.provision(key)?;
        self.log.add("a public key is stored: only models signed with it run");
        self.boot();
        self.done(Done::default());
        Ok(())
    }
}

/// Describes an image in a slot.
fn describe<'a>(image: &Image<'a>, checksum: u32, layout: &str, info: SlotInfo<'a>) -> SlotInfo<'a> {
    let name = image.metadata().map_or("", |metadata| metadata.name);
    SlotInfo {
        bytes: image.bytes().len() as u32,
        checksum,
        golden: image.golden().hash,
        arena_bytes: arena_of(image) as u32,
        version: image.model_version(),
        is_signed: image.is_signed(),
        has_fast_layout: has_layout(image, layout),
        labels: image.config().labels,
        sample_rate: sample_rate(image),
        row_width: image.config().features,
        name: name.get(..name.floor_char_boundary(replies::TEXT)).unwrap_or_default(),
        ..info
    }
}

/// Whether the integer matrices have the layout that a board's kernels read fastest. Any other layout computes the same, more slowly.
fn has_layout(image: &Image<'_>, layout: &str) -> bool {
    let is_integer = |dtype| matches!(dtype, Dtype::Int8 | Dtype::Int4);
    image.entries().filter(|entry| is_integer(entry.dtype) && entry.rows > 1).all(|entry| entry.layout.name() == layout)
}

/// Sample rate of the audio that a model reads, Hz; 0 for a model that reads none, or a program that cannot.
fn sample_rate(image: &Image<'_>) -> u32 {
    #[cfg(feature = "engine")]
    let rate = image.frontend().map_or(0, |frontend| frontend.sample_rate);
    #[cfg(not(feature = "engine"))]
    let rate = {
        let _ = image;
        0
    };
    rate
}
