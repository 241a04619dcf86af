//! What is asked of a transcript, and whether a model can do it.

use attoformer::Image;
use attoformer::image::GenerationConfig;

use super::TimestampRules;

/// What is asked of a transcript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TranscribeOptions {
    /// The token of the language that is spoken; the model tells by itself where none is given.
    pub language: Option<u32>,
    /// In English, whatever is spoken.
    pub translate: bool,
    /// In parts with their times.
    pub timestamps: bool,
}

impl TranscribeOptions {
    /// Looks up a language by its code, such as `de`, and compares what is asked for with what the model can do.
    ///
    /// # Errors
    /// A sentence's end.
    pub fn new(image: &Image, language: Option<&str>, translate: bool, timestamps: bool) -> Result<Self, String> {
        let Some(decoding) = image.generation_config() else {
            return Err("it does not say how a transcript begins: pack it from a folder with a generation_config.json".to_owned());
        };
        if decoding.languages.is_empty() && (language.is_some() || translate) {
            return Err("it knows one language only: leave --language and --translate out, or take a multilingual model".to_owned());
        }
        if translate && decoding.translate == 0 {
            return Err("it does not translate: its generation_config.json had no such task".to_owned());
        }
        if timestamps && TimestampRules::of(image.config(), &decoding).is_none() {
            return Err("it writes no timestamps: its vocabulary has none".to_owned());
        }
        let language = language.map(|code| named(image, &decoding, code)).transpose()?;
        Ok(TranscribeOptions { language, translate, timestamps })
    }
}

/// The token of a language.
fn named(image: &Image, decoding: &GenerationConfig<'_>, code: &str) -> Result<u32, String> {
    let names = || decoding.languages.iter().map(|&token| (token, language_name(image, token)));
    names().find(|(_, name)| name == code).map(|(token, _)| token).ok_or_else(|| {
        let mut known: Vec<String> = names().map(|(_, name)| name).collect();
        known.sort();
        format!("it knows no language {code:?}, only {}", known.join(", "))
    })
}

/// A language's code: the piece of its token without the marks around it; its number where the image has no tokenizer.
pub fn language_name(image: &Image, token: u32) -> String {
    let piece = image.tokenizer().and_then(|tokenizer| tokenizer.piece(token));
    let text = piece.map(|piece| String::from_utf8_lossy(piece).into_owned()).unwrap_or_default();
    let code = text.trim_start_matches("<|").trim_end_matches("|>");
    if code.is_empty() { token.to_string() } else { code.to_owned() }
}
