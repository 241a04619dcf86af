//! `cargo xtask attention`: attention weights of one head on an emulated machine.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use attoformer_protocol::job::Prompt;
use xtask::attention::rows;
use xtask::machines::{self, MACHINES};

#[derive(clap::Args)]
pub struct Arguments {
    /// The machine: a name of `cargo xtask qemu`
    #[arg(long)]
    machine: String,
    /// The image to run
    #[arg(long)]
    image: PathBuf,
    /// Prompt text
    #[arg(long, conflicts_with = "tokens_in", required_unless_present = "tokens_in")]
    prompt: Option<String>,
    /// Prompt tokens, separated by commas
    #[arg(long, value_delimiter = ',')]
    tokens_in: Vec<u32>,
    /// The head, as LAYER.HEAD
    #[arg(long, value_parser = parse_head)]
    head: (u32, u32),
}

fn parse_head(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once('.').and_then(|(layer, head)| Some((layer.parse().ok()?, head.parse().ok()?)));
    parsed.ok_or_else(|| format!("{text} is not LAYER.HEAD, for example 2.1"))
}

/// Prints one JSON object: machine, layer, head, rows.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Some(machine) = machines::find_for(&arguments.machine, None) else {
        let names = MACHINES.map(|machine| machine.name).join(", ");
        bail!("unknown machine {}; the machines are {names}", arguments.machine);
    };
    let tokens: Vec<u8> = arguments.tokens_in.iter().flat_map(|token| token.to_le_bytes()).collect();
    let prompt = arguments.prompt.as_deref().map_or(Prompt::Tokens(&tokens), Prompt::Text);
    let (layer, head) = arguments.head;
    let rows = rows(&machine, &arguments.image, prompt, layer, head).with_context(|| arguments.image.display().to_string())?;
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}
