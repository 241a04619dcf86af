//! What the whole-system tests share.

pub mod atto;
pub mod golden;
pub mod hostile;
pub mod long;
pub mod models;
pub mod random_model;
pub mod sounds;
pub mod targets;
