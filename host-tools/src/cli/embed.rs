//! `atto embed`.

use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer_tools::embed::{Embedding, embed, write_f32, write_npy};
use attoformer_tools::engine::{Setup, kernels_named};
use attoformer_tools::{Error, files};
use serde::Serialize;

/// Turn texts into embeddings
#[derive(clap::Args)]
pub struct Args {
    /// The image
    file: PathBuf,
    /// A text (repeatable)
    #[arg(long, required_unless_present = "input", conflicts_with = "input", allow_hyphen_values = true)]
    text: Vec<String>,
    /// A file with a text in each line
    #[arg(long, value_name = "LINES.txt")]
    input: Option<PathBuf>,
    /// Write the embeddings as f32, (texts, width), to a NumPy file or to one without a header [default: print them]
    #[arg(short, long, value_name = "OUT.npy|OUT.f32", value_parser = parse_output)]
    output: Option<PathBuf>,
    /// Bring each embedding to length 1, which some models do by themselves
    #[arg(long)]
    normalize: bool,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'r> {
    rows: usize,
    width: usize,
    tokens: Vec<usize>,
    left_out: Vec<usize>,
    /// Only where they are not written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    embeddings: Option<Vec<&'r [f32]>>,
    kernels: &'static str,
}

fn parse_output(text: &str) -> Result<PathBuf, String> {
    match Path::new(text).extension().and_then(|extension| extension.to_str()) {
        Some("npy" | "f32") => Ok(text.into()),
        _ => Err("it ends neither in .npy nor in .f32".to_owned()),
    }
}

/// Encodes, and writes or prints.
pub fn run(args: Args) -> Result<(), Error> {
    for input in args.input.iter().chain([&args.file]) {
        args.output.iter().try_for_each(|output| files::check_apart(output, input))?;
    }
    let refuse = |error| Error::engine(&args.file)(error);
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(refuse)?;
    let setup = Setup { kernels: kernels_named(args.kernels.as_deref())?, ..Setup::default() };
    let mut arena = setup.arena(image.config(), &args.file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let mut rows = Vec::new();
    for (index, text) in texts(&args)?.iter().enumerate() {
        let row = embed(&mut session, text, args.normalize).map_err(refuse)?;
        if row.left_out > 0 {
            eprintln!("note: text {} is longer than the context; its last {} tokens are left out", index + 1, row.left_out);
        }
        rows.push(row);
    }
    let width = image.config().d_model as usize;
    if let Some(path) = &args.output {
        write(path, &rows, width)?;
    }
    report(&args, &rows, width, setup.kernels.name)
}

/// The texts asked for, one a line where they come from a file.
fn texts(args: &Args) -> Result<Vec<String>, Error> {
    let Some(path) = &args.input else { return Ok(args.text.clone()) };
    Ok(files::text(path)?.lines().map(str::to_owned).collect())
}

fn write(path: &Path, rows: &[Embedding], width: usize) -> Result<(), Error> {
    let values = rows.iter().flat_map(|row| row.values.iter().copied());
    files::write_whole(path, |file| {
        let written = if path.extension().is_some_and(|extension| extension == "npy") {
            write_npy(file, &[rows.len(), width], values)
        } else {
            write_f32(file, values)
        };
        written.map_err(Error::io(path))
    })
}

fn report(args: &Args, rows: &[Embedding], width: usize, kernels: &'static str) -> Result<(), Error> {
    if args.json {
        return super::print_json(&Report {
            rows: rows.len(),
            width,
            tokens: rows.iter().map(|row| row.tokens).collect(),
            left_out: rows.iter().map(|row| row.left_out).collect(),
            embeddings: args.output.is_none().then(|| rows.iter().map(|row| &row.values[..]).collect()),
            kernels,
        });
    }
    if args.output.is_some() {
        eprintln!("{} embeddings of {width} values", rows.len());
        return Ok(());
    }
    for row in rows {
        let values: Vec<String> = row.values.iter().map(f32::to_string).collect();
        super::print(&(values.join(" ") + "\n"))?;
    }
    Ok(())
}
