//! Interpretability of a forward pass on one prompt: attention, logit lens, ablation, activation patching, neurons, quantization error.
//!
//! Each view is a file: it runs the model with a [`Probe`](attoformer::Probe) and returns plain data. [`Inspection`] holds the requested views;
//! [`page`] renders it as HTML, `data.json` and `.npy` files hold it for programs.

pub mod ablation;
pub mod attention;
pub mod board;
mod error;
pub mod lens;
pub mod model;
pub mod neurons;
mod numbers;
pub mod page;
pub mod patching;
pub mod pieces;
pub mod quantization;
mod view;

pub use error::InspectError;
pub use model::InspectedModel;
pub use view::{Ablate, InspectOptions, Inspection, inspect};
