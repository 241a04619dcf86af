//! `atto import`.

use attoformer_tools::Error;
use attoformer_tools::import::{ModelFormat, supported_formats};

use super::output::{print, print_json};

/// List supported model formats
#[derive(clap::Args)]
pub struct Args {
    /// List formats and model families
    #[arg(long, required = true)]
    list: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Prints the list.
pub fn run(args: Args) -> Result<(), Error> {
    let all = supported_formats();
    if args.json {
        return print_json(&all);
    }
    let width = |column: fn(&ModelFormat) -> &'static str| all.iter().map(|row| column(row).len()).max().unwrap_or(0);
    let (format, name) = (width(|row| row.format), width(|row| row.name));
    print(&all.iter().map(|row| format!("{:format$}  {:name$}  {}\n", row.format, row.name, row.about)).collect::<String>())
}
