//! Byte-level BPE from `tokenizer.json`.

use serde_json::Value;

use super::file::File;
use super::parts::{AddedEntry, kind, steps};
use super::special_tokens::{PostProcessor, SpecialTokenSettings};
use crate::import::tokenizer::byte_bpe::ByteBpe;
use crate::import::tokenizer::model::{Scheme, SplitPattern, Tokenizer};

/// The tokenizer of a file whose BPE does not fall back on bytes.
pub(super) fn of_file(file: &File, stated: &SpecialTokenSettings) -> Result<Tokenizer, String> {
    let nfc = match kind(&file.normalizer) {
        "" => false,
        "NFC" => true,
        other => return Err(format!("its normalizer is of type {other}, only NFC can be read")),
    };
    let tokens = file.tokens()?;
    let around = PostProcessor::of_file(file, &tokens, stated)?;
    let source = ByteBpe {
        tokens: &tokens,
        merges: file.merges()?,
        added: file.added_tokens.iter().map(AddedEntry::to_pack).collect::<Result<_, String>>()?,
        marks: around.marks(None),
        add_bos: around.add_bos,
        add_eos: around.add_eos,
        scheme: Scheme::ByteBpe { split: split(&file.pre_tokenizer)?, nfc, ignore_merges: file.model.ignore_merges },
    };
    source.tokenizer()
}

/// The pattern that cuts words, by how the library's steps are put together.
fn split(pre_tokenizer: &Value) -> Result<SplitPattern, String> {
    let steps = steps(pre_tokenizer, "pretokenizers");
    let is_split = |step: &Value, wanted: &str| {
        kind(step) == "Split"
            && step["pattern"]["Regex"].as_str() == Some(wanted)
            && step["behavior"].as_str() == Some("Isolated")
            && !step["invert"].as_bool().unwrap_or(false)
    };
    let only_spells = |step: &Value| {
        kind(step) == "ByteLevel" && step["use_regex"].as_bool() == Some(false) && !step["add_prefix_space"].as_bool().unwrap_or(false)
    };
    let cuts = |step: &Value| step["use_regex"].as_bool().unwrap_or(true) && !step["add_prefix_space"].as_bool().unwrap_or(false);
    match &steps[..] {
        [bytes] if kind(bytes) == "ByteLevel" && cuts(bytes) => Ok(SplitPattern::Gpt2),
        [digits, bytes]
            if kind(digits) == "Digits"
                && digits["individual_digits"].as_bool() == Some(true)
                && kind(bytes) == "ByteLevel"
                && cuts(bytes) =>
        {
            Ok(SplitPattern::SmolLm)
        }
        [words, bytes] if is_split(words, LLAMA_3) && only_spells(bytes) => Ok(SplitPattern::Llama3),
        [words, bytes] if is_split(words, QWEN_2) && only_spells(bytes) => Ok(SplitPattern::Qwen2),
        _ => Err("its pre_tokenizer is not one that can be packed: those of GPT-2, Llama 3, Qwen 2 and SmolLM".to_owned()),
    }
}

/// The patterns that the engine's matchers stand for.
const LLAMA_3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub(super) const QWEN_2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
