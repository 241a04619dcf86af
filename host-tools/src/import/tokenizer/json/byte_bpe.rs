//! Byte-level BPE from `tokenizer.json`.

use serde_json::Value;

use super::added_token::AddedEntry;
use super::error::TokenizerError;
use super::file::File;
use super::post_processor::PostProcessor;
use super::special_tokens::StatedTokens;
use super::steps::{kind, steps};
use crate::import::tokenizer::byte_bpe::ByteBpe;
use crate::import::tokenizer::model::{Scheme, SplitPattern, Tokenizer};

/// The tokenizer of a file whose BPE has no byte fallback.
///
/// # Errors
/// [`TokenizerError`] with the first part that is not supported.
pub(super) fn tokenizer(file: &File, stated: &StatedTokens) -> Result<Tokenizer, TokenizerError> {
    let nfc = match kind(&file.normalizer) {
        "" => false,
        "NFC" => true,
        other => return Err(TokenizerError::Unsupported { part: "normalizer", found: other.to_owned(), supported: "NFC" }),
    };
    let tokens = file.tokens()?;
    let post_processor = PostProcessor::read(file, &tokens, stated)?;
    let source = ByteBpe {
        tokens: &tokens,
        merges: file.merges()?,
        added: file.added_tokens.iter().map(AddedEntry::to_added_token).collect::<Result<_, _>>()?,
        special: post_processor.special_ids(None),
        add_bos: post_processor.add_bos,
        add_eos: post_processor.add_eos,
        scheme: Scheme::ByteBpe { split: split(&file.pre_tokenizer)?, nfc, ignore_merges: file.model.ignore_merges },
    };
    Ok(source.tokenizer()?)
}

/// The pattern of the pre-tokenizer, recognized by the library's steps.
fn split(pre_tokenizer: &Value) -> Result<SplitPattern, TokenizerError> {
    let steps = steps(pre_tokenizer, "pretokenizers");
    let is_split = |step: &Value, pattern: &str| {
        kind(step) == "Split"
            && step["pattern"]["Regex"].as_str() == Some(pattern)
            && step["behavior"].as_str() == Some("Isolated")
            && !step["invert"].as_bool().unwrap_or(false)
    };
    let has_prefix = |step: &Value| step["add_prefix_space"].as_bool().unwrap_or(false);
    // A ByteLevel step writes bytes as letters; with `use_regex` (the default) it splits by GPT-2's pattern first.
    let only_letters = |step: &Value| kind(step) == "ByteLevel" && step["use_regex"].as_bool() == Some(false) && !has_prefix(step);
    let splits = |step: &Value| kind(step) == "ByteLevel" && step["use_regex"].as_bool().unwrap_or(true) && !has_prefix(step);
    let single_digits = |step: &Value| kind(step) == "Digits" && step["individual_digits"].as_bool() == Some(true);
    match &steps[..] {
        [bytes] if splits(bytes) => Ok(SplitPattern::Gpt2),
        [digits, bytes] if single_digits(digits) && splits(bytes) => Ok(SplitPattern::SmolLm),
        [words, bytes] if is_split(words, LLAMA_3) && only_letters(bytes) => Ok(SplitPattern::Llama3),
        [words, bytes] if is_split(words, QWEN_2) && only_letters(bytes) => Ok(SplitPattern::Qwen2),
        _ => Err(TokenizerError::UnsupportedForm { part: "pre_tokenizer", supported: "those of GPT-2, Llama 3, Qwen 2 and SmolLM" }),
    }
}

/// Llama 3's pattern, which the engine matches without a regex.
const LLAMA_3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's pattern, which the engine matches without a regex.
pub(super) const QWEN_2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
