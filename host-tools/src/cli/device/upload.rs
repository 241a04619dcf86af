//! `atto device upload`, `erase` and `provision`.

use std::path::PathBuf;

use attoformer::Image;
use attoformer_protocol::link::message::Request;
use attoformer_tools::device::upload;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::{Error, files};
use serde_json::json;

use super::super::output::{print, print_json};
use super::Board;

/// Send an image to the slot that does not run, have it test itself, and switch to it
#[derive(clap::Args)]
pub struct UploadArgs {
    /// Image
    file: PathBuf,
    /// From now on, refuse models of an older version; this number never falls
    #[arg(long, value_name = "N")]
    min_version: Option<u32>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Erase a slot
#[derive(clap::Args)]
pub struct EraseArgs {
    /// The slot: 0 or 1
    #[arg(value_parser = clap::value_parser!(u8).range(0..2))]
    slot: u8,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Store the public key of models on the board, once: from then on only models signed with it run
#[derive(clap::Args)]
pub struct ProvisionArgs {
    /// Public key, as `atto keygen` writes it
    #[arg(long, value_name = "KEY.pub")]
    key: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// `atto device upload`.
pub fn upload(args: &UploadArgs, connect: impl FnOnce() -> Result<Board, Error>) -> Result<(), Error> {
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.file))?;
    let mut board = connect()?;
    let progress = Progress::new("upload", image.bytes().len() as u64);
    let mut shown = 0;
    let uploaded = upload::upload(&mut board, &image, args.min_version, |sent| {
        progress.advance((sent - shown) as u64);
        shown = sent;
    });
    drop(progress);
    // The user's file is what is wrong, in most cases.
    let uploaded = uploaded.map_err(|error| Error::file(&args.file)(error.to_string()))?;
    if !board.slot(uploaded.slot)?.has_fast_layout {
        let name = board.hello()?.board;
        eprintln!("note: the image was packed for another processor, so it runs slowly on {name}; pack it with --board {name}");
    }
    if args.json {
        return print_json(&json!({ "bytes": image.bytes().len(), "resumed_at": uploaded.resumed_at, "slot": uploaded.slot }));
    }
    let resumed = if uploaded.resumed_at > 0 { format!(", resumed at {}", uploaded.resumed_at) } else { String::new() };
    print(&format!("{} bytes in slot {}{resumed}; the new model passed its self-test and runs\n", image.bytes().len(), uploaded.slot))
}

/// `atto device erase`.
pub fn erase(args: &EraseArgs, board: &mut Board) -> Result<(), Error> {
    board.command(&Request::Erase(args.slot))?;
    let running = board.hello()?.running;
    if args.json {
        return print_json(&json!({ "slot": args.slot, "running": running }));
    }
    let runs = running.map_or("no model runs".to_owned(), |slot| format!("the model in slot {slot} runs"));
    print(&format!("slot {} is erased; {runs}\n", args.slot))
}

/// `atto device provision`.
pub fn provision(args: &ProvisionArgs, connect: impl FnOnce() -> Result<Board, Error>) -> Result<(), Error> {
    let key = attoformer_tools::sign::read_public(&args.key)?.to_bytes();
    let mut board = connect()?;
    board.command(&Request::Provision(key))?;
    let running = board.hello()?.running;
    if args.json {
        return print_json(&json!({ "provisioned": true, "running": running }));
    }
    let runs = running.map_or("no signed model is there, so none runs".to_owned(), |slot| format!("the model in slot {slot} runs"));
    print(&format!("the board runs only models signed with {}; {runs}\n", args.key.display()))
}
