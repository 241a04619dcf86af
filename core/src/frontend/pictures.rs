//! Pictures to feature rows: patches of pixels, scaled and normalized, by im2col with a stride of one patch (Dosovitskiy et al. 2021, section 3.1).
//!
//! [`Pictures::patches`] takes a picture of the model's own size, as a camera delivers it. The parameters also state how a picture of another size is
//! resized and cropped; the host tool does that.

use crate::error::Error;
use crate::format::field::{f32_at, u32_at};
use crate::format::section;
use crate::slices::rows_mut;

/// A picture front end: a checked copy of an image's section.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pictures {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Channels: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Side of a square patch in pixels.
    pub patch: usize,
    /// Factor for values of 0 to 255.
    pub scale: f32,
    /// Mean of each channel, subtracted after scaling.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, the divisor after that.
    pub deviation: [f32; 3],
    /// How a picture of any size is resized before the centre crop.
    pub resize: Resize,
    /// Resampling filter.
    pub filter: Filter,
}

/// The size that a picture is resized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Its own size.
    Keep,
    /// Exactly this height and width; the aspect ratio may change.
    To(usize, usize),
    /// The shorter side has this length; the aspect ratio stays.
    Shorter(usize),
}

/// Resampling filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Nearest neighbour.
    Nearest,
    /// Lanczos with three lobes.
    Lanczos,
    /// Bilinear (triangle).
    Bilinear,
    /// Bicubic with a = -1/2.
    Bicubic,
}

/// Bytes of the section.
const BYTES: usize = 64;
/// Longest side in pixels, before and after resizing.
const SIDE_MAX: usize = 1 << 14;
/// Largest number of values in all feature rows: 64 MiB.
const VALUES_MAX: usize = 1 << 24;

impl Pictures {
    /// Parses and checks a section.
    ///
    /// # Errors
    /// [`Error::Section`] if it contradicts itself or is truncated.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).ok_or(Error::Section { kind: section::PICTURES })
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let count = |word: usize| u32_at(bytes, 4 * word) as usize;
        let numbers = |first: usize| [first, first + 1, first + 2].map(|word| f32_at(bytes, 4 * word));
        let pictures = Pictures {
            height: count(0),
            width: count(1),
            channels: count(2),
            patch: count(3),
            scale: f32_at(bytes, 16),
            mean: numbers(5),
            deviation: numbers(8),
            resize: match (count(11), count(12)) {
                (0, _) => Resize::Keep,
                (side, 0) => Resize::Shorter(side),
                (height, width) => Resize::To(height, width),
            },
            filter: match count(13) {
                0 => Filter::Nearest,
                1 => Filter::Lanczos,
                2 => Filter::Bilinear,
                3 => Filter::Bicubic,
                _ => return None,
            },
        };
        (bytes.len() == BYTES && pictures.is_consistent()).then_some(pictures)
    }

    /// Whether all sizes are within their limits, the crop is inside the resized picture, and values can be normalized.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let [height, width] = [self.height, self.width];
        let cropped = match self.resize {
            Resize::Keep => true,
            Resize::Shorter(side) => (height.max(width)..=SIDE_MAX).contains(&side),
            Resize::To(rows, columns) => (height..=SIDE_MAX).contains(&rows) && (width..=SIDE_MAX).contains(&columns),
        };
        let inside = (1..=height.min(width)).contains(&self.patch) && height <= SIDE_MAX && width <= SIDE_MAX;
        let normalizable =
            self.scale.is_finite() && self.mean.iter().all(|x| x.is_finite()) && self.deviation.iter().all(|x| x.is_normal());
        inside && cropped && normalizable && matches!(self.channels, 1 | 3) && height * width <= VALUES_MAX / 3
    }

    /// Feature rows of a picture: its patches.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.patches_along(self.width) * self.patches_along(self.height)
    }

    /// Columns of a feature row: all pixels of a patch's first channel, row by row, then the next channel's.
    #[must_use]
    pub const fn features(&self) -> usize {
        self.channels * self.patch * self.patch
    }

    /// Bytes of a picture.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whole patches along a side. The patch size is never zero; the checked division tells the compiler so.
    const fn patches_along(&self, side: usize) -> usize {
        match side.checked_div(self.patch) {
            Some(patches) => patches,
            None => 0,
        }
    }

    /// Computes all patches of a picture, `(rows, features)`, left to right, then top to bottom. `pixels` are bytes `(height, width, channels)`; those
    /// to the right of the last whole patch and below it are ignored.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] if `pixels` is shorter than [`Pictures::bytes`], or `out` than all rows.
    pub fn patches(&self, pixels: &[u8], out: &mut [f32]) -> Result<(), Error> {
        for (need, have) in [(self.bytes(), pixels.len()), (self.rows() * self.features(), out.len())] {
            if have < need {
                return Err(Error::BufferTooSmall { need, have });
            }
        }
        let across = self.patches_along(self.width).max(1);
        for (number, row) in rows_mut(out, self.features()).take(self.rows()).enumerate() {
            let (top, left) = (number / across * self.patch, number % across * self.patch);
            let planes = rows_mut(row, self.patch * self.patch).zip(self.mean).zip(self.deviation);
            for (channel, ((plane, mean), deviation)) in planes.enumerate() {
                for (y, line) in rows_mut(plane, self.patch).enumerate() {
                    let first = ((top + y) * self.width + left) * self.channels + channel;
                    for (value, at) in line.iter_mut().zip((first..).step_by(self.channels.max(1))) {
                        let pixel = f32::from(pixels.get(at).copied().unwrap_or(0));
                        *value = (pixel * self.scale - mean) / deviation;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, Pictures, Resize};
    use crate::error::Error;

    /// A section for pictures of 2 by 5 pixels in patches of 2.
    fn section() -> [u32; 16] {
        let one = 1f32.to_bits();
        let half = 0.5f32.to_bits();
        [2, 5, 3, 2, half, 0, one, 0, one, one, 2f32.to_bits(), 2, 5, 3, 0, 0]
    }

    fn read(words: [u32; 16]) -> Result<Pictures, Error> {
        let bytes: [u8; 64] = zerocopy::transmute!(words.map(u32::to_le_bytes));
        Pictures::new(&bytes)
    }

    #[test]
    fn patches_are_channel_by_channel() {
        let pictures = read(section()).unwrap();
        assert_eq!((pictures.rows(), pictures.features(), pictures.bytes()), (2, 12, 30));
        assert_eq!((pictures.resize, pictures.filter), (Resize::To(2, 5), Filter::Bicubic));
        let mut pixels = [0u8; 30];
        (0..).zip(&mut pixels).for_each(|(at, pixel)| *pixel = 2 * at);
        let mut out = [9.0; 25];
        pictures.patches(&pixels, &mut out).unwrap();
        // Pixel (y, x) has the values 15 y + 3 x and the next two; green loses 1, blue is halved.
        assert_eq!(&out[..12], &[0.0, 3.0, 15.0, 18.0, 0.0, 3.0, 15.0, 18.0, 1.0, 2.5, 8.5, 10.0]);
        assert_eq!(&out[12..16], &[6.0, 9.0, 21.0, 24.0]);
        assert_eq!(out[24], 9.0);
        assert_eq!(pictures.patches(&pixels[..29], &mut out), Err(Error::BufferTooSmall { need: 30, have: 29 }));
        assert_eq!(pictures.patches(&pixels, &mut out[..23]), Err(Error::BufferTooSmall { need: 24, have: 23 }));
    }

    #[test]
    fn inconsistent_sections_are_refused() {
        let nan = f32::NAN.to_bits();
        let faults = [
            (0, 0),
            (0, 3),
            (1, 1 << 15),
            (2, 2),
            (2, 4),
            (3, 0),
            (3, 3),
            (4, nan),
            (5, nan),
            (9, 0),
            (10, nan),
            (11, 1),
            (12, 4),
            (13, 4),
        ];
        for (word, value) in faults {
            let mut words = section();
            words[word] = value;
            assert!(read(words).is_err(), "word {word} set to {value}");
        }
        assert!(Pictures::new(&[0; 60]).is_err());
        let mut shorter = section();
        shorter[11..13].copy_from_slice(&[7, 0]);
        assert_eq!(read(shorter).unwrap().resize, Resize::Shorter(7));
    }
}
