//! Picture files, and the rows of features that an image's front end makes of them.

use std::io::Cursor;
use std::path::Path;

use attoformer::Image;
use attoformer::frontend::pictures::{Filter, Pictures, Resize};
use image::imageops::{self, FilterType};
use image::{ImageFormat, ImageReader, Limits, RgbImage};

use crate::error::Error;
use crate::files;

/// Longest side of a picture, most pixels of one, most bytes that a decoder may ask for, most pixels in another size.
const SIDE_MAX: u32 = 1 << 14;
const PIXELS_MAX: u64 = 1 << 26;
const BYTES_MAX: u64 = 1 << 28;
const RESIZED_MAX: u64 = 1 << 24;

/// How an image reads pictures.
///
/// # Errors
/// One sentence that names the image: it reads none, or does not say how.
pub fn frontend(image: &Image<'_>, path: &Path) -> Result<Pictures, Error> {
    let what = "it does not say how pictures become its rows: pack it from a folder with a preprocessor_config.json, or give rows as .npy";
    image.pictures().ok_or_else(|| Error::file(path)(what.to_owned()))
}

/// All rows of features of a PNG or JPEG file.
///
/// # Errors
/// One sentence that names the file: it is no such file, cut, or of a size that cannot be used.
pub fn read(path: &Path, pictures: &Pictures) -> Result<Vec<f32>, Error> {
    let colours = decode(path)?;
    let colours = fitted(colours, pictures).map_err(Error::file(path))?;
    let mut rows = vec![0.0; pictures.rows() * pictures.features()];
    let pixels = if pictures.channels == 1 { grey(&colours) } else { colours.into_raw() };
    pictures.patches(&pixels, &mut rows).expect("both buffers have the size that the front end states");
    Ok(rows)
}

/// Red, green and blue, eight bits each: palettes are looked up, grey is all three, sixteen bits are rounded, opacity is left out.
fn decode(path: &Path) -> Result<RgbImage, Error> {
    let refuse = |what: String| Error::file(path)(what);
    let bytes = files::map(path)?;
    let format = image::guess_format(&bytes).ok().filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg));
    let format = format.ok_or_else(|| refuse("it is no PNG and no JPEG file, whatever its name says".to_owned()))?;
    let reader = || {
        let mut reader = ImageReader::with_format(Cursor::new(&bytes[..]), format);
        let mut limits = Limits::default();
        limits.max_image_width = Some(SIDE_MAX);
        limits.max_image_height = Some(SIDE_MAX);
        limits.max_alloc = Some(BYTES_MAX);
        reader.limits(limits);
        reader
    };
    let damaged = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => {
            refuse(format!("it has sides of more than {SIDE_MAX} pixels or needs too much memory: make it smaller"))
        }
        error => refuse(format!("it is cut or damaged: {}", error)),
    };
    let (width, height) = reader().into_dimensions().map_err(damaged)?;
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(refuse(format!("it says {width} by {height} pixels; up to {PIXELS_MAX} of them can be read: make it smaller")));
    }
    if width == 0 || height == 0 {
        return Err(refuse(format!("it says {width} by {height} pixels: it holds no picture")));
    }
    let picture = reader().decode().map_err(damaged)?;
    if format == ImageFormat::Jpeg && !has_end(&bytes) {
        return Err(refuse("it is cut: its end is missing: copy it again".to_owned()));
    }
    Ok(picture.into_rgb8())
}

/// Whether a JPEG's scans end with their mark; decoders paint what is missing grey and say nothing.
fn has_end(bytes: &[u8]) -> bool {
    const SCAN: u8 = 0xda;
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [0xff, kind, high, low, ..] = *rest {
        if kind == SCAN {
            return rest.windows(2).any(|pair| pair == [0xff, 0xd9]);
        }
        // Before a marker there may be more of its first byte.
        let length = if kind == 0xff { 1 } else { 2 + usize::from(u16::from_be_bytes([high, low])) };
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// The picture in the model's size: resized, then its middle.
fn fitted(picture: RgbImage, pictures: &Pictures) -> Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    let (columns, rows) = match pictures.resize {
        Resize::Keep => (u64::from(width), u64::from(height)),
        Resize::To(rows, columns) => (columns as u64, rows as u64),
        // The longer side is cut to whole pixels.
        Resize::Shorter(side) if width <= height => (side as u64, side as u64 * u64::from(height) / u64::from(width)),
        Resize::Shorter(side) => (side as u64 * u64::from(width) / u64::from(height), side as u64),
    };
    let (wanted_columns, wanted_rows) = (pictures.width as u64, pictures.height as u64);
    if columns < wanted_columns || rows < wanted_rows {
        return Err(format!(
            "it has {columns} by {rows} pixels, the model looks at {wanted_columns} by {wanted_rows} of them: make it larger"
        ));
    }
    // Rows are brought to their number first, in the picture's own width.
    if columns.max(u64::from(width)) * rows > RESIZED_MAX {
        return Err(format!("its {width} by {height} pixels would become {columns} by {rows}: that is too much, cut a part out of it"));
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

/// Brightness, as ITU-R BT.601 weighs the colours and Pillow rounds it.
fn grey(colours: &RgbImage) -> Vec<u8> {
    let weigh = |pixel: &image::Rgb<u8>| {
        let [red, green, blue] = pixel.0.map(u32::from);
        ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
    };
    colours.pixels().map(weigh).collect()
}
