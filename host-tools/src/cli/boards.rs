//! `atto boards`, and the option `--board`.

use attoformer_protocol::boards::{self, BOARDS, Board};
use attoformer_tools::Error;
use attoformer_tools::report::table::{Table, thousands};
use serde::Serialize;

use super::output::{print, print_json};

/// List the boards that models can be flashed to
#[derive(clap::Args)]
pub struct Args {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// A name that no board has.
#[derive(Clone, Debug, thiserror::Error)]
#[error("unknown board \"{name}\"; use {}", names())]
pub struct UnknownBoard {
    name: String,
}

fn names() -> String {
    BOARDS.iter().map(|board| board.name).collect::<Vec<&str>>().join(", ")
}

/// Parses the option `--board`.
pub fn parse(name: &str) -> Result<&'static Board, UnknownBoard> {
    boards::find(name).ok_or_else(|| UnknownBoard { name: name.to_owned() })
}

/// The report of `--json`. The field names are an interface that scripts read.
#[derive(Serialize)]
struct Report {
    boards: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    core: &'static str,
    target: &'static str,
    layout: &'static str,
    /// Bytes of a slot for models; there are two.
    flash_model: u32,
    /// Bytes of RAM of the chip.
    ram: u32,
    /// Bytes of RAM for an arena.
    ram_arena: u32,
    link: &'static str,
    tested_on: &'static str,
}

impl Row {
    fn new(board: &'static Board) -> Self {
        let Board { name, title, core, target, layout, link, tested_on, .. } = *board;
        let (flash_model, ram, ram_arena) = (board.models.slot_bytes, board.ram_bytes, board.arena.bytes);
        Row { name, title, core, target, layout, flash_model, ram, ram_arena, link, tested_on }
    }
}

/// Prints the table of boards.
pub fn run(args: Args) -> Result<(), Error> {
    let rows = BOARDS.iter().map(Row::new);
    if args.json {
        return print_json(&Report { boards: rows.collect() });
    }
    let mut table = Table::new(&["board", "core", "bytes per model", "RAM", "arena", "run on", "link"]);
    for row in rows {
        let [flash, ram, arena] = [row.flash_model, row.ram, row.ram_arena].map(|bytes| thousands(bytes.into()));
        table.row([row.name.to_owned(), row.core.to_owned(), flash, ram, arena, row.tested_on.to_owned(), row.link.to_owned()]);
    }
    print(&table.to_string())
}
