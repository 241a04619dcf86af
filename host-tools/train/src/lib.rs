//! Trains small llama-type decoders, and tokenizers for them, on an ordinary computer.
//!
//! The model is that of llama2.c: RMSNorm before each block, RoPE on neighboring pairs, grouped-query attention, SwiGLU and tied embeddings;
//! its attention can be linear instead, with a state of constant size. The output is llama2.c's `model.bin` (version 0) and `tokenizer.bin`,
//! which `atto pack` reads.
//!
//! ```no_run
//! use attoformer_train::{TrainConfig, train};
//!
//! let config = TrainConfig::preset("tales").expect("a preset");
//! let report = train(&config, "tales".as_ref(), false)?;
//! println!("perplexity {:.3}", report.held_out_perplexity);
//! # Ok::<(), attoformer_train::TrainError>(())
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod attention;
mod checkpoint;
mod config;
mod data;
mod error;
mod floats;
mod judge;
mod linear_attention;
mod llama2c;
mod loss;
mod model;
mod norm;
mod optimizer;
mod progress;
mod report;
mod rope;
mod run;
mod shape;
mod team;
mod vocabulary;

pub use config::{Corpus, Judging, TrainConfig, Training};
pub use data::split_documents;
pub use error::TrainError;
pub use judge::{Likelihood, grammar_shares};
pub use model::Model;
pub use report::Report;
pub use run::{held_out_texts, train};
pub use shape::{AttentionKind, Shape};
pub use vocabulary::{BOS, Vocabulary};
