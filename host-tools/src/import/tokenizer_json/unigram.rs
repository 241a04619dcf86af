//! Unigram from `tokenizer.json`: T5's, XLM-R's and their like.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::parts::{Added, kind, names_around, steps};
use super::wordpiece::settings;
use crate::error::Error;
use crate::import::tokenizer::{self, Tokenizer, WordSpaces};

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
    added_tokens: Vec<Added>,
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
const BLOCK: &str = "\u{2581}";

/// Reads the file.
///
/// # Errors
/// One sentence that names it and what is wrong with it.
pub fn read(path: &Path) -> Result<Tokenizer, Error> {
    let file: File = settings(path)?;
    of_file(file).map_err(Error::file(path))
}

/// Whether the normaliser has a step that cannot be packed, so that the model is fed tokens instead.
pub fn has_charsmap(path: &Path) -> Result<bool, Error> {
    let file: Value = settings(path)?;
    Ok(steps(&file["normalizer"], "normalizers").iter().any(|step| kind(step) == "Precompiled"))
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
    let mut spaces = normalizer(&file.normalizer)?;
    pre_tokenizer(&file.pre_tokenizer, &mut spaces)?;
    let [begin, end] = around(&file.post_processor)?;
    let id = |name: &str| tokens.iter().position(|token| token == name).map(|id| id as u32);
    let mark = |name: &String| id(name).ok_or_else(|| format!("its token {name:?} is not in its vocabulary"));
    let (begin, stated_end) = (begin.as_ref().map(mark).transpose()?, end.as_ref().map(mark).transpose()?);
    let end = stated_end.or_else(|| ENDS.iter().find_map(|name| id(name)));
    let end = end.ok_or("none of its tokens is one that ends a text, such as </s>")?;
    let source = tokenizer::Unigram {
        tokens: &tokens,
        scores,
        added: file.added_tokens.iter().map(added).collect::<Result<_, _>>()?,
        marks: [begin.unwrap_or(end), end, unknown],
        adds_begin: begin.is_some(),
        adds_end: stated_end.is_some(),
        byte_fallback: file.model.byte_fallback,
        spaces,
    };
    source.tokenizer()
}

fn added(added: &Added) -> Result<tokenizer::Added, String> {
    if added.normalized && added.content.contains([' ', '\u{2581}']) {
        return Err(format!(
            "its added token {:?} is matched behind the normaliser and has a space, which cannot be packed",
            added.content
        ));
    }
    added.to_pack()
}

/// What the normaliser does to spaces: nothing else can be packed.
fn normalizer(value: &Value) -> Result<WordSpaces, String> {
    let mut spaces = WordSpaces::default();
    for step in steps(value, "normalizers") {
        let runs = step["pattern"]["Regex"].as_str() == Some(" {2,}");
        let to_one = step["content"].as_str() == Some(BLOCK);
        let only_right = step["strip_right"].as_bool() == Some(true) && step["strip_left"].as_bool() != Some(true);
        match kind(&step) {
            "Replace" if runs && to_one => spaces.squeezed = true,
            // Behind the replacement a space may be no white space any more.
            "Strip" if only_right && !spaces.squeezed => spaces.trimmed = true,
            "Precompiled" => return Err("its normalizer has a map of characters (Precompiled), which cannot be packed".to_owned()),
            other => return Err(format!("its normalizer does what cannot be packed, in a step of type {other}")),
        }
    }
    Ok(spaces)
}

/// Metaspace, perhaps behind a cut at white space.
fn pre_tokenizer(value: &Value, spaces: &mut WordSpaces) -> Result<(), String> {
    let steps = steps(value, "pretokenizers");
    let metaspace = match &steps[..] {
        [metaspace] if kind(metaspace) == "Metaspace" => metaspace,
        [white, metaspace] if kind(white) == "WhitespaceSplit" && kind(metaspace) == "Metaspace" => {
            spaces.parted = true;
            metaspace
        }
        _ => return Err("its pre_tokenizer is not one that can be packed: Metaspace, or WhitespaceSplit before it".to_owned()),
    };
    if metaspace["replacement"].as_str() != Some(BLOCK) {
        return Err("its Metaspace writes something else than U+2581 for a space".to_owned());
    }
    spaces.in_front = match metaspace["prepend_scheme"].as_str() {
        Some("never") => false,
        Some("first") => {
            spaces.only_first = true;
            true
        }
        Some("always") => true,
        Some(other) => return Err(format!("its Metaspace has the unknown prepend_scheme {other:?}")),
        None => metaspace["add_prefix_space"].as_bool().unwrap_or(true),
    };
    spaces.cut = metaspace["split"].as_bool().unwrap_or(true);
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
