//! What the whole-system tests share.

pub mod models;
pub mod targets;
