//! What people and scripts are told: facts about an image, tables, progress.

pub mod facts;
pub mod progress;
pub mod table;
