//! The post-processor of a BPE: the special tokens that are written before and after a text.

use serde_json::Value;

use super::error::TokenizerError;
use super::file::File;
use super::special_tokens::StatedTokens;
use super::steps::{steps, template_tokens};
use crate::import::tokenizer::model::SpecialIds;

/// EOS tokens of the supported families, for files that do not name one.
const EOS_NAMES: [&str; 6] = ["<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "</s>", "<eos>", "<|eot_id|>"];

/// Special tokens before and after a text.
pub(super) struct PostProcessor {
    /// BOS, where the files name one.
    pub bos: Option<u32>,
    /// EOS.
    pub eos: u32,
    /// Whether BOS is written before every text.
    pub add_bos: bool,
    /// Whether EOS is written after every text.
    pub add_eos: bool,
}

impl PostProcessor {
    /// The post-processor of the file, with one token before a text and perhaps one after it; without one, the settings of the files beside it.
    ///
    /// # Errors
    /// [`TokenizerError`]: no EOS token, a token that is not in the vocabulary, or another template.
    pub fn read(file: &File, tokens: &[String], stated: &StatedTokens) -> Result<Self, TokenizerError> {
        let find = |name: &str| tokens.iter().position(|token| token == name).map(|id| id as u32);
        // Special tokens first: a piece that texts merge to may have the same text.
        let special = |name: &str| file.added_tokens.iter().find(|added| added.special && added.content == name).map(|added| added.id);
        let id = |name: &str| find(name).ok_or_else(|| TokenizerError::TokenMissing(name.to_owned()));
        let eos = match &stated.eos {
            Some(Value::String(name)) => id(name)?,
            Some(number) => {
                let token = number.as_u64().filter(|&token| token < tokens.len() as u64);
                let outside = || TokenizerError::TokenRange { name: "EOS", id: number.to_string(), tokens: tokens.len() };
                token.ok_or_else(outside)? as u32
            }
            None => EOS_NAMES
                .iter()
                .find_map(|name| special(name))
                .or_else(|| EOS_NAMES.iter().find_map(|name| find(name)))
                .ok_or(TokenizerError::NoEos(EOS_NAMES[0]))?,
        };
        let bos = stated.bos.as_ref().and_then(Value::as_str).and_then(find);
        let plain = PostProcessor { bos, eos, add_bos: false, add_eos: false };
        let Some(template) = steps(&file.post_processor, "processors").iter().find_map(template_tokens) else {
            return Ok(PostProcessor { add_bos: stated.add_bos && bos.is_some(), add_eos: stated.add_eos, ..plain });
        };
        match &template[..] {
            [Some(bos), None] => Ok(PostProcessor { bos: Some(id(bos)?), add_bos: true, ..plain }),
            [Some(bos), None, Some(eos)] => Ok(PostProcessor { bos: Some(id(bos)?), eos: id(eos)?, add_bos: true, add_eos: true }),
            // Several tokens before the text are the prompt of a transcript, which the generation config states.
            [None] | [Some(_), Some(_), .., None, Some(_)] => Ok(plain),
            _ => Err(unsupported_template()),
        }
    }

    /// BOS, EOS and UNK; EOS in the place of one that the files do not name.
    pub fn special_ids(&self, unk: Option<u32>) -> SpecialIds {
        SpecialIds { bos: self.bos.unwrap_or(self.eos), eos: self.eos, unk: unk.unwrap_or(self.eos) }
    }
}

/// The error of a post-processor with another template.
pub(super) fn unsupported_template() -> TokenizerError {
    TokenizerError::UnsupportedForm { part: "post_processor", supported: "at most one token before a text and one after it" }
}
