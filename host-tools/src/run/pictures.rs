//! Reads PNG and JPEG files and cuts them into the patches that the picture front end of an image defines (im2col of the patch embedding).

use std::io::Cursor;
use std::path::Path;

use attoformer::Image;
use attoformer::frontend::pictures::{Filter, Pictures, Resize};
use image::imageops::{self, FilterType};
use image::{ImageFormat, ImageReader, Limits, RgbImage};

use crate::error::Error;
use crate::files;

/// Longest side in pixels.
const SIDE_MAX: u32 = 1 << 14;
/// Pixels of a picture.
const PIXELS_MAX: u64 = 1 << 26;
/// Bytes that a decoder may allocate.
const BYTES_MAX: u64 = 1 << 28;
/// Pixels of a resized picture.
const RESIZED_MAX: u64 = 1 << 24;

/// A picture or model that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The image has no picture front end.
    #[error("it does not state how to preprocess pictures; pack it from a folder with a preprocessor_config.json, or pass rows as .npy")]
    NoFrontend,
    /// The file is neither PNG nor JPEG, whatever its name says.
    #[error("it is neither a PNG nor a JPEG file")]
    Format,
    /// The decoder needs too much memory.
    #[error("it has sides of more than {SIDE_MAX} pixels or needs too much memory; make it smaller")]
    Limits,
    /// The file is truncated or damaged.
    #[error("truncated or damaged: {0}")]
    Damaged(image::ImageError),
    /// A JPEG without its end marker.
    #[error("truncated: its end is missing; copy it again")]
    Truncated,
    /// A side is zero.
    #[error("its header states {width} x {height} pixels, which is not a picture")]
    Empty {
        /// Stated width.
        width: u32,
        /// Stated height.
        height: u32,
    },
    /// More pixels than are read.
    #[error("its header states {width} x {height} pixels, more than the limit of {PIXELS_MAX}; make it smaller")]
    TooManyPixels {
        /// Stated width.
        width: u32,
        /// Stated height.
        height: u32,
    },
    /// Smaller than the model's input.
    #[error("it has {width} x {height} pixels, the model reads {wanted_width} x {wanted_height}; make it larger")]
    TooSmall {
        /// Width after resizing.
        width: u64,
        /// Height after resizing.
        height: u64,
        /// Width that the model reads.
        wanted_width: u64,
        /// Height that the model reads.
        wanted_height: u64,
    },
    /// Resizing would need too many pixels.
    #[error("resizing its {from_width} x {from_height} pixels to {width} x {height} exceeds the limit of {RESIZED_MAX}; crop it")]
    Resized {
        /// Width of the picture.
        from_width: u32,
        /// Height of the picture.
        from_height: u32,
        /// Width after resizing.
        width: u64,
        /// Height after resizing.
        height: u64,
    },
}

/// The picture front end of an image.
///
/// # Errors
/// [`PictureError::NoFrontend`] with the image.
pub fn frontend(image: &Image<'_>, path: &Path) -> Result<Pictures, Error> {
    image.pictures().ok_or_else(|| Error::file(path)(PictureError::NoFrontend))
}

/// Reads a PNG or JPEG file as rows of features `(rows, features)`.
///
/// # Errors
/// [`PictureError`] with the file.
pub fn read(path: &Path, pictures: &Pictures) -> Result<Vec<f32>, Error> {
    let bytes = files::map(path)?;
    let colours = decode(&bytes).and_then(|colours| fitted(colours, pictures)).map_err(Error::file(path))?;
    let mut rows = vec![0.0; pictures.rows() * pictures.features()];
    let pixels = if pictures.channels == 1 { grey(&colours) } else { colours.into_raw() };
    pictures.patches(&pixels, &mut rows).expect("both buffers have the size that the front end states");
    Ok(rows)
}

/// Decodes to 8-bit RGB: palettes are resolved, grey fills all channels, sixteen bits are rounded, alpha is dropped.
fn decode(bytes: &[u8]) -> Result<RgbImage, PictureError> {
    let format = image::guess_format(bytes).ok().filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg));
    let format = format.ok_or(PictureError::Format)?;
    let reader = || {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::default();
        limits.max_image_width = Some(SIDE_MAX);
        limits.max_image_height = Some(SIDE_MAX);
        limits.max_alloc = Some(BYTES_MAX);
        reader.limits(limits);
        reader
    };
    let damaged = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => PictureError::Limits,
        error => PictureError::Damaged(error),
    };
    let (width, height) = reader().into_dimensions().map_err(damaged)?;
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(PictureError::TooManyPixels { width, height });
    }
    if width == 0 || height == 0 {
        return Err(PictureError::Empty { width, height });
    }
    let picture = reader().decode().map_err(damaged)?;
    if format == ImageFormat::Jpeg && !has_end_marker(bytes) {
        return Err(PictureError::Truncated);
    }
    Ok(picture.into_rgb8())
}

/// Whether a JPEG has its end-of-image marker: decoders silently paint missing parts grey.
fn has_end_marker(bytes: &[u8]) -> bool {
    const SCAN: u8 = 0xda;
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [0xff, kind, high, low, ..] = *rest {
        if kind == SCAN {
            return rest.windows(2).any(|pair| pair == [0xff, 0xd9]);
        }
        // Fill bytes 0xff may precede a marker.
        let length = if kind == 0xff { 1 } else { 2 + usize::from(u16::from_be_bytes([high, low])) };
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// Resizes a picture and crops its centre to the model's input size.
fn fitted(picture: RgbImage, pictures: &Pictures) -> Result<RgbImage, PictureError> {
    let (width, height) = picture.dimensions();
    let (columns, rows) = match pictures.resize {
        Resize::Keep => (u64::from(width), u64::from(height)),
        Resize::To(rows, columns) => (columns as u64, rows as u64),
        // The longer side is rounded down to whole pixels.
        Resize::Shorter(side) if width <= height => (side as u64, side as u64 * u64::from(height) / u64::from(width)),
        Resize::Shorter(side) => (side as u64 * u64::from(width) / u64::from(height), side as u64),
    };
    let (wanted_columns, wanted_rows) = (pictures.width as u64, pictures.height as u64);
    if columns < wanted_columns || rows < wanted_rows {
        return Err(PictureError::TooSmall { width: columns, height: rows, wanted_width: wanted_columns, wanted_height: wanted_rows });
    }
    // The height is resized first, at the picture's own width.
    if columns.max(u64::from(width)) * rows > RESIZED_MAX {
        return Err(PictureError::Resized { from_width: width, from_height: height, width: columns, height: rows });
    }
    let filter = match pictures.filter {
        Filter::Nearest => FilterType::Nearest,
        Filter::Lanczos => FilterType::Lanczos3,
        Filter::Bilinear => FilterType::Triangle,
        Filter::Bicubic => FilterType::CatmullRom,
    };
    let same = (columns, rows) == (u64::from(width), u64::from(height));
    let resized = if same { picture } else { imageops::resize(&picture, columns as u32, rows as u32, filter) };
    let (left, top) = ((columns - wanted_columns) / 2, (rows - wanted_rows) / 2);
    Ok(imageops::crop_imm(&resized, left as u32, top as u32, wanted_columns as u32, wanted_rows as u32).to_image())
}

/// Luma by the weights of ITU-R BT.601, rounded as Pillow does.
fn grey(colours: &RgbImage) -> Vec<u8> {
    let luma = |pixel: &image::Rgb<u8>| {
        let [red, green, blue] = pixel.0.map(u32::from);
        ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
    };
    colours.pixels().map(luma).collect()
}
