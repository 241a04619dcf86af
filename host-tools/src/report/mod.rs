//! Output for people and scripts: image summaries, tables, progress.

pub mod progress;
pub mod summary;
pub mod table;
