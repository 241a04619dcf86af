//! Shared parts of the whole-system tests: models, targets and the command-line tool.

pub mod atto;
pub mod board;
pub mod golden;
pub mod hostile;
pub mod models;
pub mod precision;
pub mod random_model;
pub mod sounds;
pub mod targets;

/// The Rust example of the README, compiled as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
