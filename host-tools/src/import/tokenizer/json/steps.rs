//! Steps of a normalizer, pre-tokenizer or post-processor.

use serde_json::Value;

/// The steps of a part: those of a Sequence (in its field `list`), the part itself, or none.
pub(super) fn steps(part: &Value, list: &str) -> Vec<Value> {
    match kind(part) {
        "" => Vec::new(),
        "Sequence" => part[list].as_array().cloned().unwrap_or_default(),
        _ => vec![part.clone()],
    }
}

/// The type of a part; empty if the part is absent.
pub(super) fn kind(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The tokens that a post-processor writes, `None` for the text itself. `None` for a step that writes no tokens.
pub(super) fn template_tokens(post_processor: &Value) -> Option<Vec<Option<String>>> {
    match kind(post_processor) {
        "TemplateProcessing" => {
            let parts = post_processor["single"].as_array().cloned().unwrap_or_default();
            Some(parts.iter().map(|part| part["SpecialToken"]["id"].as_str().map(str::to_owned)).collect())
        }
        "RobertaProcessing" | "BertProcessing" => {
            let name = |field: &str| post_processor[field][0].as_str().map(str::to_owned);
            Some(vec![name("cls"), None, name("sep")])
        }
        _ => None,
    }
}
