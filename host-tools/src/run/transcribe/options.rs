//! Transcription options, checked against the abilities of a model.

use attoformer::Image;
use attoformer::image::GenerationConfig;

use super::timestamps::TimestampRules;

/// Transcription options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TranscribeOptions {
    /// Token of the spoken language; detected from the audio if absent.
    pub language: Option<u32>,
    /// Translate to English.
    pub translate: bool,
    /// Split the transcript into segments with timestamps.
    pub timestamps: bool,
}

/// A request that the model does not support.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TranscribeError {
    /// The image has no generation config.
    #[error("it does not state how a transcript begins; pack it from a folder with a generation_config.json")]
    NoGenerationConfig,
    /// `--language` or `--translate` with a monolingual model.
    #[error("this model is monolingual; remove --language and --translate, or use a multilingual model")]
    Monolingual,
    /// The model has no translation task.
    #[error("this model does not translate: its generation_config.json has no such task")]
    NoTranslation,
    /// The vocabulary has no timestamp tokens.
    #[error("this model does not support timestamps: its vocabulary has no timestamp tokens")]
    NoTimestamps,
    /// The language code is unknown.
    #[error("unknown language {code:?}; this model knows {known}")]
    Language {
        /// The code.
        code: String,
        /// Codes of the model.
        known: String,
    },
}

impl TranscribeOptions {
    /// Looks up a language by its code, such as `de`, and checks that the model supports the request.
    ///
    /// # Errors
    /// [`TranscribeError`].
    pub fn new(image: &Image, language: Option<&str>, translate: bool, timestamps: bool) -> Result<Self, TranscribeError> {
        let generation_config = image.generation_config().ok_or(TranscribeError::NoGenerationConfig)?;
        if generation_config.languages.is_empty() && (language.is_some() || translate) {
            return Err(TranscribeError::Monolingual);
        }
        if translate && generation_config.translate == 0 {
            return Err(TranscribeError::NoTranslation);
        }
        if timestamps && TimestampRules::of(image.config(), &generation_config).is_none() {
            return Err(TranscribeError::NoTimestamps);
        }
        let language = language.map(|code| language_token(image, &generation_config, code)).transpose()?;
        Ok(TranscribeOptions { language, translate, timestamps })
    }
}

/// The token of a language code.
fn language_token(image: &Image, generation_config: &GenerationConfig<'_>, code: &str) -> Result<u32, TranscribeError> {
    let names = || generation_config.languages.iter().map(|&token| (token, language_name(image, token)));
    names().find(|(_, name)| name == code).map(|(token, _)| token).ok_or_else(|| {
        let mut known: Vec<String> = names().map(|(_, name)| name).collect();
        known.sort();
        TranscribeError::Language { code: code.to_owned(), known: known.join(", ") }
    })
}

/// The code of a language: the piece of its token without `<|` and `|>`, or its number if the image has no tokenizer.
pub fn language_name(image: &Image, token: u32) -> String {
    let piece = image.tokenizer().and_then(|tokenizer| tokenizer.piece(token));
    let text = piece.map(|piece| String::from_utf8_lossy(piece).into_owned()).unwrap_or_default();
    let code = text.trim_start_matches("<|").trim_end_matches("|>");
    if code.is_empty() { token.to_string() } else { code.to_owned() }
}
