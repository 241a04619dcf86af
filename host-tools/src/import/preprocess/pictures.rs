//! What a model's files say of the pictures that it reads: the preprocessor_config.json of Hugging Face's image processors.

use attoformer::frontend::pictures::{Filter, Pictures, Resize};
use serde::Deserialize;

/// Its fields; those that are left out are those of ViT's own processor.
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
    #[serde(default = "of_255")]
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

fn of_255() -> f32 {
    1.0 / 255.0
}

fn half() -> Vec<f32> {
    vec![0.5; 3]
}

/// A size, in the three ways it is spelled.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    /// Of a square.
    Square(u32),
    /// Of both sides.
    Sides { height: u32, width: u32 },
    /// Of the shorter side; the shape stays.
    Shorter { shortest_edge: u32 },
}

impl Preprocessor {
    /// How pictures become rows for a model that sees `side` by `side` pixels in patches.
    ///
    /// # Errors
    /// A sentence's end: what is not known, or does not fit the model.
    pub fn pictures(&self, side: u32, channels: u32, patch: u32) -> Result<Pictures, String> {
        let resize = match self.size.filter(|_| self.do_resize) {
            None => Resize::Keep,
            Some(Size::Square(side)) => Resize::To(side as usize, side as usize),
            Some(Size::Sides { height, width }) => Resize::To(height as usize, width as usize),
            Some(Size::Shorter { shortest_edge }) => Resize::Shorter(shortest_edge as usize),
        };
        let side = side as usize;
        let seen = match (self.crop_size.filter(|_| self.do_center_crop), resize) {
            (Some(Size::Square(side)), _) => [side as usize; 2],
            (Some(Size::Sides { height, width }), _) => [height as usize, width as usize],
            (None, Resize::To(height, width)) => [height, width],
            (None, Resize::Keep) => [side; 2],
            (None, Resize::Shorter(_)) | (Some(Size::Shorter { .. }), _) => {
                return Err("pictures keep their shape and no size is cut out of them, which cannot be read".to_owned());
            }
        };
        if seen != [side; 2] {
            return Err(format!("pictures come to {} by {} pixels, where config.json states {side} by {side}", seen[0], seen[1]));
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
        if pictures.is_consistent() {
            Ok(pictures)
        } else {
            Err("its sizes contradict each other, or its numbers cannot be computed with".to_owned())
        }
    }
}

/// The filter by Pillow's number.
fn filter(number: u32) -> Result<Filter, String> {
    match number {
        0 => Ok(Filter::Nearest),
        1 => Ok(Filter::Lanczos),
        2 => Ok(Filter::Bilinear),
        3 => Ok(Filter::Bicubic),
        other => Err(format!("its resample is {other}; what can be read is 0 to 3 (nearest, Lanczos, bilinear, bicubic)")),
    }
}

/// A value for each channel; those that the model does not have get `rest`.
fn by_channel(name: &str, values: &[f32], channels: u32, rest: f32) -> Result<[f32; 3], String> {
    let channels = channels as usize;
    if !matches!(channels, 1 | 3) {
        return Err(format!("its pictures have {channels} channels; what can be read is 1 or 3"));
    }
    let Some(values) = values.get(..channels) else {
        return Err(format!("its {name} has {} values for {channels} channels", values.len()));
    };
    Ok([0, 1, 2].map(|channel| values.get(channel).copied().unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::Preprocessor;
    use attoformer::frontend::pictures::{Filter, Pictures, Resize};

    fn read(text: &str) -> Result<Pictures, String> {
        serde_json::from_str::<Preprocessor>(text).unwrap().pictures(8, 3, 4)
    }

    #[test]
    fn sizes_are_read_as_they_are_spelled() {
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
    fn what_does_not_fit_is_refused_in_words() {
        for (text, word) in [
            (r#"{"size": 9}"#, "come to 9 by 9 pixels, where config.json states 8 by 8"),
            (r#"{"size": {"shortest_edge": 8}}"#, "no size is cut out"),
            (r#"{"size": 8, "resample": 5}"#, "its resample is 5"),
            (r#"{"size": 8, "image_std": [0.5]}"#, "image_std has 1 values for 3 channels"),
            (r#"{"size": 8, "image_std": [0.5, 0, 0.5]}"#, "cannot be computed with"),
            (r#"{"size": 4, "do_center_crop": true, "crop_size": 8}"#, "contradict each other"),
            (r#"{"size": {"shortest_edge": 4294967295}, "do_center_crop": true, "crop_size": 8}"#, "contradict each other"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        }
    }
}
