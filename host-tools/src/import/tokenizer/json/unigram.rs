//! Unigram from `tokenizer.json`: T5's, XLM-R's and their like.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::parts::{AddedEntry, kind, names_around, steps};
use crate::error::Error;
use crate::import::json_file::settings;
use crate::import::tokenizer::charsmap::{self, Charmap};
use crate::import::tokenizer::model::{self, Tokenizer, UnigramSpaces};
use crate::import::tokenizer::unigram::Unigram;

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

#[derive(Deserialize)]
struct Model {
    unk_id: Option<u32>,
    vocab: Vec<(String, f64)>,
    #[serde(default)]
    byte_fallback: bool,
}

/// Tokens that models of this kind end a text with, where the file does not put one behind it.
const ENDS: [&str; 4] = ["</s>", "<eos>", "[SEP]", "<|endoftext|>"];

/// What stands for a space.
const METASPACE: &str = "\u{2581}";

/// Reads the file.
///
/// # Errors
/// One sentence that names it and what is wrong with it.
pub fn read(path: &Path) -> Result<Tokenizer, Error> {
    let file: File = settings(path)?;
    of_file(file).map_err(Error::file(path))
}

/// Whether a normaliser with a map of characters has steps that cannot be packed too, so that the model is fed tokens instead.
pub fn is_beyond_packing(path: &Path) -> Result<bool, Error> {
    let file: Value = settings(path)?;
    let steps = steps(&file["normalizer"], "normalizers");
    let is_known = |step: &Value| matches!(kind(step), "Precompiled" | "Strip" | "Replace");
    Ok(steps.iter().any(|step| kind(step) == "Precompiled") && !steps.iter().all(is_known))
}

fn of_file(file: File) -> Result<Tokenizer, String> {
    let unknown = file.model.unk_id.ok_or("it states no token for unknown characters (unk_id)")?;
    let (mut tokens, mut scores): (Vec<String>, Vec<f64>) = file.model.vocab.into_iter().unzip();
    for added in &file.added_tokens {
        let id = added.id as usize;
        match tokens.get(id) {
            Some(token) if *token == added.content => {}
            None if id == tokens.len() => {
                tokens.push(added.content.clone());
                scores.push(0.0);
            }
            _ => return Err(format!("its added token {:?} is not token {id} of its vocabulary", added.content)),
        }
    }
    if unknown as usize >= tokens.len() {
        return Err(format!("its unknown token {unknown} is not one of its {} tokens", tokens.len()));
    }
    let (mut spaces, charmap) = normalizer(&file.normalizer)?;
    pre_tokenizer(&file.pre_tokenizer, &mut spaces)?;
    // The library tells the first word by where its first character comes from, which may be where that of the second does.
    if spaces.split_whitespace && spaces.first_word_only && (spaces.strip || !charmap.is_empty()) {
        return Err("its Metaspace puts a space before the first word only, which cannot be packed behind what moves words".to_owned());
    }
    let [begin, end] = around(&file.post_processor)?;
    let id = |name: &str| tokens.iter().position(|token| token == name).map(|id| id as u32);
    let mark = |name: &String| id(name).ok_or_else(|| format!("its token {name:?} is not in its vocabulary"));
    let (begin, stated_end) = (begin.as_ref().map(mark).transpose()?, end.as_ref().map(mark).transpose()?);
    let end = stated_end.or_else(|| ENDS.iter().find_map(|name| id(name)));
    let end = end.ok_or("none of its tokens is one that ends a text, such as </s>")?;
    let source = Unigram {
        tokens: &tokens,
        scores,
        added: file.added_tokens.iter().map(|token| added(token, &charmap)).collect::<Result<_, _>>()?,
        marks: [begin.unwrap_or(end), end, unknown],
        add_bos: begin.is_some(),
        add_eos: stated_end.is_some(),
        byte_fallback: file.model.byte_fallback,
        charmap,
        spaces,
    };
    source.tokenizer()
}

/// An added token as a packer wants it. One that the library looks for behind a map is looked for before it: the two differ where a text spells
/// it in other characters, or puts a mark behind it.
fn added(added: &AddedEntry, charmap: &Charmap) -> Result<model::AddedToken, String> {
    let name = &added.content;
    if added.normalized && name.contains([' ', '\u{2581}']) {
        return Err(format!("its added token {name:?} is matched behind the normaliser and has a space, which cannot be packed"));
    }
    let is_plain = |character: char| character.is_ascii_graphic() && !charmap.contains_key(character.encode_utf8(&mut [0; 4]) as &str);
    if added.normalized && !added.special && !charmap.is_empty() && !name.chars().all(is_plain) {
        return Err(format!("its added token {name:?} is matched behind the map of characters, which cannot be packed"));
    }

    added.to_pack()
}

/// What the normaliser does to spaces and characters: nothing else can be packed.
fn normalizer(value: &Value) -> Result<(UnigramSpaces, Charmap), String> {
    let mut spaces = UnigramSpaces::default();
    let mut charmap = None;
    for step in steps(value, "normalizers") {
        let runs = step["pattern"]["Regex"].as_str() == Some(" {2,}");
        let content = step["content"].as_str();
        let [left, right] = ["strip_left", "strip_right"].map(|side| step[side].as_bool() == Some(true));
        let in_order = match kind(&step) {
            "Replace" if runs && (content == Some(METASPACE) || content == Some(" ")) => {
                spaces.collapse_to_plain_space = content == Some(" ");
                !std::mem::replace(&mut spaces.collapse_spaces, true)
            }
            // Behind the replacement a space may be no white space any more.
            "Strip" if right && !left => !spaces.collapse_spaces && !std::mem::replace(&mut spaces.trim_end, true),
            "Strip" if right && left => {
                let first = spaces == UnigramSpaces::default() && charmap.is_none();
                spaces.strip = true;
                first
            }
            "Precompiled" => {
                let text = step["precompiled_charsmap"].as_str().unwrap_or_default();
                let bytes = BASE64_STANDARD.decode(text).map_err(|_| "its precompiled_charsmap is not base64")?;
                !spaces.trim_end && !spaces.collapse_spaces && charmap.replace(charsmap::charmap(&bytes)?).is_none()
            }
            other => return Err(format!("its normalizer does what cannot be packed, in a step of type {other}")),
        };
        if !in_order {
            let name = kind(&step);
            return Err(format!(
                "its normalizer has a step of type {name} where it cannot be packed: what can is Strip, Precompiled, Strip on the right, Replace"
            ));
        }
    }
    Ok((spaces, charmap.unwrap_or_default()))
}

/// Metaspace, perhaps behind a cut at white space.
fn pre_tokenizer(value: &Value, spaces: &mut UnigramSpaces) -> Result<(), String> {
    let steps = steps(value, "pretokenizers");
    let metaspace = match &steps[..] {
        [metaspace] if kind(metaspace) == "Metaspace" => metaspace,
        [white, metaspace] if kind(white) == "WhitespaceSplit" && kind(metaspace) == "Metaspace" => {
            spaces.split_whitespace = true;
            metaspace
        }
        _ => return Err("its pre_tokenizer is not one that can be packed: Metaspace, or WhitespaceSplit before it".to_owned()),
    };
    if metaspace["replacement"].as_str() != Some(METASPACE) {
        return Err("its Metaspace writes something else than U+2581 for a space".to_owned());
    }
    spaces.add_dummy_prefix = match metaspace["prepend_scheme"].as_str() {
        Some("never") => false,
        Some("first") => {
            spaces.first_word_only = true;
            true
        }
        Some("always") => true,
        Some(other) => return Err(format!("its Metaspace has the unknown prepend_scheme {other:?}")),
        None => metaspace["add_prefix_space"].as_bool().unwrap_or(true),
    };
    spaces.split_at_spaces = metaspace["split"].as_bool().unwrap_or(true);
    Ok(())
}

/// The tokens that the post-processor puts before and behind a text.
fn around(value: &Value) -> Result<[Option<String>; 2], String> {
    let names = names_around(value).or_else(|| kind(value).is_empty().then(|| vec![None]));
    match names.as_deref() {
        Some([None]) => Ok([None, None]),
        Some([None, end @ Some(_)]) => Ok([None, end.clone()]),
        Some([begin @ Some(_), None]) => Ok([begin.clone(), None]),
        Some([begin @ Some(_), None, end @ Some(_)]) => Ok([begin.clone(), end.clone()]),
        _ => Err("its post_processor puts something around a text that cannot be packed".to_owned()),
    }
}
