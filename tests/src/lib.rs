//! What the whole-system tests share.

pub mod models;
pub mod random_model;
pub mod targets;
