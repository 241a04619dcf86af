//! What people and scripts are told: facts about an image, tables, progress.

pub mod progress;
pub mod summary;
pub mod table;
