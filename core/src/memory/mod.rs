//! Memory: one buffer given by the caller holds everything that changes while a model runs. Its size follows from the header and the plan.

pub mod arena;
pub mod layout;
pub mod plan;
pub(crate) mod workspace;

pub use arena::Arena;
pub use plan::{Plan, arena_bytes};
