//! What an image is worth, measured on data.

pub mod accuracy;
mod examples;
pub mod perplexity;
pub mod sts;

use std::ops::Deref;
use std::path::Path;

use crate::error::Error;
use crate::report::progress::Progress;
use crate::{files, import, pack};

/// Bytes of an image, mapped or made.
pub type ImageBytes = Box<dyn Deref<Target = [u8]>>;

/// An image to compare with: a packed one as it is, or a checkpoint packed in memory without any rounding.
///
/// # Errors
/// One sentence that names the file.
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
