//! The shape of multi-head attention. With fewer KV heads than query heads, `heads / kv_heads` query heads share a KV head: grouped-query
//! attention (GQA; Ainslie et al. 2023), or multi-query attention (MQA; Shazeer 2019) with a single KV head.

use super::bias::ScoreBias;
use super::key_ranges::KeyRanges;
use crate::format::Config;
use crate::numeric::LOG2_E;
use crate::slices::{rows, rows_mut};

/// The heads of one attention.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// The factor times log2(e): integer scores are exponents of 2.
    pub scale_log2: f32,
    /// Added to the scores.
    pub bias: ScoreBias<'a>,
}

/// All heads of one query.
#[derive(Clone, Copy, Debug)]
pub struct HeadQueries<'r> {
    /// `(q_dim, ..)`.
    pub queries: &'r [f32],
    /// The keys that the query attends to.
    pub ranges: &'r KeyRanges,
    /// Shape, scale and bias.
    pub heads: &'r Heads<'r>,
}

/// One head of one query.
#[derive(Clone, Copy, Debug)]
pub struct HeadQuery<'r> {
    /// The query head.
    pub head: usize,
    /// The KV head that it shares.
    pub kv_head: usize,
    /// Column of the cache at which the KV head begins.
    pub offset: usize,
    /// `(head_dim)`.
    pub query: &'r [f32],
}

impl<'r> HeadQueries<'r> {
    /// Each head with its part of `out` `(q_dim)`.
    #[inline]
    pub fn iter<'o>(&self, out: &'o mut [f32]) -> impl Iterator<Item = (HeadQuery<'r>, &'o mut [f32])> + use<'r, 'o> {
        let (head_dim, group) = (self.heads.head_dim, self.heads.group());
        rows(self.queries, head_dim).zip(rows_mut(out, head_dim)).enumerate().map(move |(head, (query, out))| {
            let kv_head = head / group;
            (HeadQuery { head, kv_head, offset: kv_head * head_dim, query }, out)
        })
    }
}

/// Most queries of a tile.
pub const QUERIES: usize = 8;

/// Token rows whose first columns are queries.
#[derive(Clone, Copy, Debug)]
pub struct QueryRows<'q> {
    /// `(tokens, width)`.
    pub values: &'q [f32],
    /// Elements from one row to the next, at least `q_dim`.
    pub width: usize,
}

impl<'a> Heads<'a> {
    /// The heads of this shape.
    pub fn new(config: &Config, bias: ScoreBias<'a>) -> Self {
        Heads {
            heads: config.heads as usize,
            kv_heads: config.kv_heads as usize,
            head_dim: config.head_dim as usize,
            scale: config.score_factor(1.0),
            scale_log2: config.score_factor(LOG2_E),
            bias,
        }
    }

    /// Query heads per KV head.
    pub fn group(&self) -> usize {
        (self.heads / self.kv_heads.max(1)).max(1)
    }

    /// Width of all queries of a token.
    pub fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all keys, or values, of a token.
    pub fn kv_dim(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}
