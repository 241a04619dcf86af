//! Unigram from `tokenizer.json`, as in the files of T5, XLM-RoBERTa and their relatives.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::added_token::AddedEntry;
use super::error::TokenizerError;
use super::post_processor::unsupported_template;
use super::steps::{kind, steps, template_tokens};
use crate::error::Error;
use crate::import::json_file::read_json;
use crate::import::tokenizer::charsmap::{Charmap, parse_charsmap};
use crate::import::tokenizer::model::{AddedToken, METASPACE, SpecialIds, Tokenizer, UnigramSpaces};
use crate::import::tokenizer::unigram::Unigram;

/// Fields of the file.
#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    added_tokens: Vec<AddedEntry>,
}

/// A Unigram model.
#[derive(Deserialize)]
struct Model {
    unk_id: Option<u32>,
    vocab: Vec<(String, f64)>,
    #[serde(default)]
    byte_fallback: bool,
}

/// EOS tokens of the supported families, for files whose post-processor writes none.
const EOS_NAMES: [&str; 4] = ["</s>", "<eos>", "[SEP]", "<|endoftext|>"];

/// [`METASPACE`] as a string.
const METASPACE_TEXT: &str = "\u{2581}";

/// Reads the file.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with a [`TokenizerError`].
pub fn read(path: &Path) -> Result<Tokenizer, Error> {
    let file: File = read_json(path)?;
    tokenizer(file).map_err(Error::file(path))
}

/// Whether the normalizer has a charsmap and a step that cannot be packed, so that the model is fed tokens instead.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] if the file is not JSON.
pub fn has_unsupported_normalizer(path: &Path) -> Result<bool, Error> {
    let file: Value = read_json(path)?;
    let steps = steps(&file["normalizer"], "normalizers");
    let is_supported = |step: &Value| matches!(kind(step), "Precompiled" | "Strip" | "Replace");
    Ok(steps.iter().any(|step| kind(step) == "Precompiled") && !steps.iter().all(is_supported))
}

fn tokenizer(file: File) -> Result<Tokenizer, TokenizerError> {
    let unk = file.model.unk_id.ok_or(TokenizerError::NoUnk)?;
    let (mut tokens, mut scores): (Vec<String>, Vec<f64>) = file.model.vocab.into_iter().unzip();
    for added in &file.added_tokens {
        let id = added.id as usize;
        match tokens.get(id) {
            Some(token) if *token == added.content => {}
            None if id == tokens.len() => {
                tokens.push(added.content.clone());
                scores.push(0.0);
            }
            _ => return Err(TokenizerError::AddedTokenId { content: added.content.clone(), id: added.id.into() }),
        }
    }
    if unk as usize >= tokens.len() {
        return Err(TokenizerError::TokenRange { name: "UNK", id: unk.to_string(), tokens: tokens.len() });
    }
    let (mut spaces, charmap) = normalizer(&file.normalizer)?;
    pre_tokenizer(&file.pre_tokenizer, &mut spaces)?;
    // The library recognizes the first word by the source of its first character, which the second word's may share.
    if spaces.split_whitespace && spaces.first_word_only && (spaces.strip || !charmap.is_empty()) {
        return Err(TokenizerError::PrependFirst);
    }
    let [bos, stated_eos] = post_processor(&file.post_processor)?;
    let find = |name: &str| tokens.iter().position(|token| token == name).map(|id| id as u32);
    let id = |name: &String| find(name).ok_or_else(|| TokenizerError::TokenMissing(name.clone()));
    let (bos, stated_eos) = (bos.as_ref().map(id).transpose()?, stated_eos.as_ref().map(id).transpose()?);
    let eos = stated_eos.or_else(|| EOS_NAMES.iter().find_map(|name| find(name))).ok_or(TokenizerError::NoEos(EOS_NAMES[0]))?;
    let source = Unigram {
        tokens: &tokens,
        scores,
        added: file.added_tokens.iter().map(|token| added_token(token, &charmap)).collect::<Result<_, _>>()?,
        special: SpecialIds { bos: bos.unwrap_or(eos), eos, unk },
        add_bos: bos.is_some(),
        add_eos: stated_eos.is_some(),
        byte_fallback: file.model.byte_fallback,
        charmap,
        spaces,
    };
    Ok(source.tokenizer()?)
}

/// An added token as a packer needs it. The engine matches a token before the charsmap that the library matches after it; the two differ where a
/// text spells the token in other characters, or has a combining mark after it.
fn added_token(added: &AddedEntry, charmap: &Charmap) -> Result<AddedToken, TokenizerError> {
    let name = &added.content;
    if added.normalized && name.contains([' ', METASPACE]) {
        return Err(added.normalized_error("the normalizer has replaced spaces"));
    }
    let is_plain = |character: char| character.is_ascii_graphic() && !charmap.contains_key(character.encode_utf8(&mut [0; 4]) as &str);
    if added.normalized && !added.special && !charmap.is_empty() && !name.chars().all(is_plain) {
        return Err(added.normalized_error("the charsmap has replaced characters"));
    }
    added.to_added_token()
}

/// Treatment of spaces and the charsmap; no other step can be packed.
fn normalizer(value: &Value) -> Result<(UnigramSpaces, Charmap), TokenizerError> {
    let mut spaces = UnigramSpaces::default();
    let mut charmap = None;
    for step in steps(value, "normalizers") {
        let is_run = step["pattern"]["Regex"].as_str() == Some(" {2,}");
        let content = step["content"].as_str();
        let [left, right] = ["strip_left", "strip_right"].map(|side| step[side].as_bool() == Some(true));
        let in_order = match kind(&step) {
            "Replace" if is_run && (content == Some(METASPACE_TEXT) || content == Some(" ")) => {
                spaces.collapse_to_plain_space = content == Some(" ");
                !std::mem::replace(&mut spaces.collapse_spaces, true)
            }
            // After the replacement a space may no longer be white space.
            "Strip" if right && !left => !spaces.collapse_spaces && !std::mem::replace(&mut spaces.trim_end, true),
            "Strip" if right && left => {
                let is_first = spaces == UnigramSpaces::default() && charmap.is_none();
                spaces.strip = true;
                is_first
            }
            "Precompiled" => {
                let text = step["precompiled_charsmap"].as_str().unwrap_or_default();
                let not_base64 = TokenizerError::UnsupportedForm { part: "precompiled_charsmap", supported: "base64" };
                let bytes = BASE64_STANDARD.decode(text).map_err(|_| not_base64)?;
                !spaces.trim_end && !spaces.collapse_spaces && charmap.replace(parse_charsmap(&bytes)?).is_none()
            }
            _ => false,
        };
        if !in_order {
            return Err(TokenizerError::Unsupported {
                part: "normalizer step",
                found: kind(&step).to_owned(),
                supported: "Strip, Precompiled, Strip on the right, Replace of several spaces, in this order",
            });
        }
    }
    Ok((spaces, charmap.unwrap_or_default()))
}

/// Reads a Metaspace, alone or after a split at white space.
fn pre_tokenizer(value: &Value, spaces: &mut UnigramSpaces) -> Result<(), TokenizerError> {
    let steps = steps(value, "pretokenizers");
    let metaspace = match &steps[..] {
        [metaspace] if kind(metaspace) == "Metaspace" => metaspace,
        [white, metaspace] if kind(white) == "WhitespaceSplit" && kind(metaspace) == "Metaspace" => {
            spaces.split_whitespace = true;
            metaspace
        }
        _ => {
            return Err(TokenizerError::UnsupportedForm { part: "pre_tokenizer", supported: "Metaspace, alone or after WhitespaceSplit" });
        }
    };
    if metaspace["replacement"].as_str() != Some(METASPACE_TEXT) {
        return Err(TokenizerError::UnsupportedForm { part: "replacement of the Metaspace", supported: "U+2581" });
    }
    spaces.add_dummy_prefix = match metaspace["prepend_scheme"].as_str() {
        Some("never") => false,
        Some("first") => {
            spaces.first_word_only = true;
            true
        }
        Some("always") => true,
        Some(other) => {
            let found = other.to_owned();
            return Err(TokenizerError::Unsupported { part: "prepend_scheme", found, supported: "never, first, always" });
        }
        None => metaspace["add_prefix_space"].as_bool().unwrap_or(true),
    };
    spaces.split_at_spaces = metaspace["split"].as_bool().unwrap_or(true);
    Ok(())
}

/// The tokens that the post-processor writes before and after a text.
fn post_processor(value: &Value) -> Result<[Option<String>; 2], TokenizerError> {
    let template = template_tokens(value).or_else(|| kind(value).is_empty().then(|| vec![None]));
    match template.as_deref() {
        Some([None]) => Ok([None, None]),
        Some([None, eos @ Some(_)]) => Ok([None, eos.clone()]),
        Some([bos @ Some(_), None]) => Ok([bos.clone(), None]),
        Some([bos @ Some(_), None, eos @ Some(_)]) => Ok([bos.clone(), eos.clone()]),
        _ => Err(unsupported_template()),
    }
}
