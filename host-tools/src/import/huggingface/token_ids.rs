//! Token ids in config.json.

use serde::Deserialize;

/// A special token's id: one, or a list of ids that mean the same.
#[derive(Deserialize)]
#[serde(untagged, expecting = "unknown form: expected a token id or a list of token ids")]
pub enum TokenIds {
    /// One id.
    One(u32),
    /// Several ids.
    Several(Vec<u32>),
}

impl TokenIds {
    /// The first id; 0 if there is none.
    pub fn first(ids: &Option<TokenIds>) -> u32 {
        match ids {
            Some(TokenIds::One(id)) => *id,
            Some(TokenIds::Several(ids)) => ids.first().copied().unwrap_or(0),
            None => 0,
        }
    }
}
