//! Boards without hardware: NOR flash that loses power, and a served model on a line that loses, doubles and damages bytes.

pub mod line;
pub mod nor;

use attoformer::image::KvType;
use attoformer::{Image, Session};
use attoformer_protocol::boards::ModelFlash;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::Options;
use attoformer_tools::quantize::Format;

use crate::random_model::RandomModel;

/// Bytes of the mock's arena.
pub const ARENA: usize = 96 * 1024;

/// The model's part of the mock's flash: a journal of two sectors, then two slots of 12.
pub const MAP: ModelFlash =
    ModelFlash { journal: 0, journal_sector: 4096, slots: [8192, 8192 + 12 * 4096], slot_bytes: 12 * 4096, sector: 4096 };

/// An image of about 40 KB.
///
/// # Panics
/// If it cannot be packed.
#[must_use]
pub fn image(seed: u32, version: u32) -> AlignedBytes {
    let mut model = RandomModel::small();
    model.seed = seed;
    (model.config.d_model, model.config.d_hidden, model.config.head_dim) = (40, 60, 10);
    let options = Options { weights: Format::Int8, kv: KvType::Int8, model_version: version, ..Options::reference() };
    let packed = attoformer_tools::pack::pack(&model.checkpoint(), &options, &attoformer_tools::report::progress::Progress::silent());
    AlignedBytes::copy_of(&packed.expect("the model packs").image)
}

/// Runs a model's self-test, as the firmware does.
///
/// # Errors
/// The engine's.
pub fn self_test(image: &Image<'_>) -> Result<(), attoformer::Error> {
    let mut arena = vec![0_u8; ARENA + 64];
    Session::new(image, &mut arena)?.self_test()
}
