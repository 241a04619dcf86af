//! The bytes of an `.atto` image (`docs/image.md`): each field's place, how it is parsed and how it is written, side by side.
//!
//! This module turns bytes into values and values into bytes; it knows nothing of the engine. The reader is [`crate::Image`], the writer is the
//! host tool.

pub mod config;
mod config_check;
pub mod directory;
pub mod field;
pub mod header;
pub mod limits;
pub mod roles;
pub mod sections;
pub mod types;

pub use config::Config;
pub use directory::{Dtype, ENTRY_BYTES, Entry, Layout, groups, row_bytes};
pub use header::HEADER_BYTES;
pub use limits::{BIAS_SPAN, HEAD_DIM_MAX, INT4_COLUMNS_MAX, VOCAB_MAX, WIDTH_MAX};
pub use roles::{ROLES, Role, RoleSet, TensorOrder, shape_of};
pub use sections::section;
pub use types::{
    Activation, Architecture, AttentionKind, Classifier, InputStem, KvType, MaskKind, NormKind, NormPlacement, Pooler, Pooling,
    PositionKind,
};
