//! The versions that this engine reads and computes.

/// Version of the image format that this engine reads and the packer writes.
pub const FORMAT_VERSION: u16 = 2;
/// Number of the numeric specification that this engine computes. An image states the number it was packed for; another one is refused.
pub const NUMERICS: u32 = 2;
