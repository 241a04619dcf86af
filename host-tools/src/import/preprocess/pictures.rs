//! Picture front end: the `preprocessor_config.json` of Hugging Face's image processors.

use attoformer::frontend::pictures::{Filter, Pictures, Resize};
use serde::Deserialize;

/// Reason why the engine cannot compute a model's input from pictures.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Pictures of any shape remain, because none of the steps makes them square.
    #[error("pictures keep their aspect ratio: the shorter side is resized and no crop follows, which is not supported")]
    NoCrop,
    /// The result has another size than the model reads.
    #[error("pictures are resized to {height} by {width} pixels, but config.json states {side} by {side}")]
    Size {
        /// Height after the last step.
        height: usize,
        /// Width after the last step.
        width: usize,
        /// Height and width that the model reads.
        side: usize,
    },
    /// The sizes contradict each other, or a number is not finite.
    #[error("size, crop_size, image_mean or image_std contradict each other or are not usable numbers")]
    Inconsistent,
    /// A resampling filter that the engine does not have.
    #[error("resample is {0}; supported: 0 to 3 (nearest, Lanczos, bilinear, bicubic)")]
    Filter(u32),
    /// Pictures with another number of channels.
    #[error("num_channels is {0}; supported: 1 and 3")]
    Channels(usize),
    /// Too few means or standard deviations.
    #[error("{name} has {values} values for {channels} channels")]
    ChannelValues {
        /// Name of the field.
        name: &'static str,
        /// Its values.
        values: usize,
        /// Channels of the model.
        channels: usize,
    },
}

/// Fields of the file. Defaults are those of ViT's image processor.
#[derive(Deserialize)]
pub struct Preprocessor {
    #[serde(default = "yes")]
    do_resize: bool,
    size: Option<Size>,
    #[serde(default = "bilinear")]
    resample: u32,
    #[serde(default)]
    do_center_crop: bool,
    crop_size: Option<Size>,
    #[serde(default = "yes")]
    do_rescale: bool,
    #[serde(default = "one_over_255")]
    rescale_factor: f32,
    #[serde(default = "yes")]
    do_normalize: bool,
    #[serde(default = "half")]
    image_mean: Vec<f32>,
    #[serde(default = "half")]
    image_std: Vec<f32>,
}

fn yes() -> bool {
    true
}

fn bilinear() -> u32 {
    2
}

fn one_over_255() -> f32 {
    1.0 / 255.0
}

fn half() -> Vec<f32> {
    vec![0.5; 3]
}

/// A size, in any of its three spellings.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    /// Side of a square.
    Square(u32),
    /// Both sides.
    Sides { height: u32, width: u32 },
    /// The shorter side; the aspect ratio is kept.
    Shorter { shortest_edge: u32 },
}

impl Preprocessor {
    /// The steps from a picture to the rows of a model that reads `side` by `side` pixels in square patches.
    ///
    /// # Errors
    /// [`PictureError`]: a step that is not supported, or a size that contradicts the model.
    pub fn pictures(&self, side: u32, channels: u32, patch: u32) -> Result<Pictures, PictureError> {
        let resize = match self.size.filter(|_| self.do_resize) {
            None => Resize::Keep,
            Some(Size::Square(side)) => Resize::To(side as usize, side as usize),
            Some(Size::Sides { height, width }) => Resize::To(height as usize, width as usize),
            Some(Size::Shorter { shortest_edge }) => Resize::Shorter(shortest_edge as usize),
        };
        let side = side as usize;
        let [height, width] = match (self.crop_size.filter(|_| self.do_center_crop), resize) {
            (Some(Size::Square(side)), _) => [side as usize; 2],
            (Some(Size::Sides { height, width }), _) => [height as usize, width as usize],
            (None, Resize::To(height, width)) => [height, width],
            (None, Resize::Keep) => [side; 2],
            (None, Resize::Shorter(_)) | (Some(Size::Shorter { .. }), _) => return Err(PictureError::NoCrop),
        };
        if [height, width] != [side; 2] {
            return Err(PictureError::Size { height, width, side });
        }
        let (mean, deviation) =
            if self.do_normalize { (&self.image_mean[..], &self.image_std[..]) } else { (&[0.0; 3][..], &[1.0; 3][..]) };
        let pictures = Pictures {
            height: side,
            width: side,
            channels: channels as usize,
            patch: patch as usize,
            scale: if self.do_rescale { self.rescale_factor } else { 1.0 },
            mean: by_channel("image_mean", mean, channels, 0.0)?,
            deviation: by_channel("image_std", deviation, channels, 1.0)?,
            resize,
            filter: filter(self.resample)?,
        };
        if pictures.is_consistent() { Ok(pictures) } else { Err(PictureError::Inconsistent) }
    }
}

/// The resampling filter with Pillow's number.
fn filter(number: u32) -> Result<Filter, PictureError> {
    match number {
        0 => Ok(Filter::Nearest),
        1 => Ok(Filter::Lanczos),
        2 => Ok(Filter::Bilinear),
        3 => Ok(Filter::Bicubic),
        other => Err(PictureError::Filter(other)),
    }
}

/// A value for each channel, `rest` for channels that the model does not have.
fn by_channel(name: &'static str, values: &[f32], channels: u32, rest: f32) -> Result<[f32; 3], PictureError> {
    let channels = channels as usize;
    if !matches!(channels, 1 | 3) {
        return Err(PictureError::Channels(channels));
    }
    let Some(values) = values.get(..channels) else {
        return Err(PictureError::ChannelValues { name, values: values.len(), channels });
    };
    Ok([0, 1, 2].map(|channel| values.get(channel).copied().unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::Preprocessor;
    use attoformer::frontend::pictures::{Filter, Pictures, Resize};

    fn read(text: &str) -> Result<Pictures, String> {
        serde_json::from_str::<Preprocessor>(text).unwrap().pictures(8, 3, 4).map_err(|error| error.to_string())
    }

    #[test]
    fn every_spelling_of_a_size_is_read() {
        let square = read(r#"{"size": 8, "resample": 3}"#).unwrap();
        assert_eq!((square.resize, square.filter, square.height, square.width), (Resize::To(8, 8), Filter::Bicubic, 8, 8));
        assert_eq!((square.scale, square.mean, square.deviation), (1.0 / 255.0, [0.5; 3], [0.5; 3]));
        let shorter =
            r#"{"size": {"shortest_edge": 9}, "do_center_crop": true, "crop_size": {"height": 8, "width": 8}, "do_normalize": false}"#;
        let shorter = read(shorter).unwrap();
        assert_eq!(
            (shorter.resize, shorter.filter, shorter.mean, shorter.deviation),
            (Resize::Shorter(9), Filter::Bilinear, [0.0; 3], [1.0; 3])
        );
        let kept = read(r#"{"do_resize": false, "size": 99, "do_rescale": false, "image_mean": [1, 2, 3]}"#).unwrap();
        assert_eq!((kept.resize, kept.scale, kept.mean), (Resize::Keep, 1.0, [1.0, 2.0, 3.0]));
    }

    #[test]
    fn preprocessors_that_do_not_fit_are_refused() {
        for (text, word) in [
            (r#"{"size": 9}"#, "resized to 9 by 9 pixels, but config.json states 8 by 8"),
            (r#"{"size": {"shortest_edge": 8}}"#, "no crop follows"),
            (r#"{"size": 8, "resample": 5}"#, "resample is 5"),
            (r#"{"size": 8, "image_std": [0.5]}"#, "image_std has 1 values for 3 channels"),
            (r#"{"size": 8, "image_std": [0.5, 0, 0.5]}"#, "contradict each other or are not usable numbers"),
            (r#"{"size": 4, "do_center_crop": true, "crop_size": 8}"#, "contradict each other"),
            (r#"{"size": {"shortest_edge": 4294967295}, "do_center_crop": true, "crop_size": 8}"#, "contradict each other"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
