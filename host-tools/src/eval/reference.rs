//! The model that an image is compared with.

use std::ops::Deref;
use std::path::Path;

use crate::error::Error;
use crate::report::progress::Progress;
use crate::{files, import, pack};

/// Bytes of an image, mapped or packed in memory.
pub type ImageBytes = Box<dyn Deref<Target = [u8]>>;

/// Opens the reference: an image, or a checkpoint that is packed in memory without quantization.
///
/// # Errors
/// Those of the importer and the packer with the file.
pub fn reference(path: &Path) -> Result<ImageBytes, Error> {
    if !path.is_dir() {
        let bytes = files::map(path)?;
        if bytes.starts_with(b"ATTO") {
            return Ok(Box::new(bytes));
        }
    }
    let packed = pack::pack(&import::open(path, None)?, &pack::Options::reference(), &Progress::silent())?;
    Ok(Box::new(packed.image))
}
