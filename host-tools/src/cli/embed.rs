//! `atto embed`.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer::image::Classifier;
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::chunks::{Chunk, given, lines};
use attoformer_tools::run::embed::{EmbedJob, Embedding};
use attoformer_tools::run::npy::RowFile;
use attoformer_tools::{Error, files};
use serde::Serialize;

use super::args::WorkerArgs;
use super::output::{print_json, print_unless_closed};

/// Compute text embeddings
#[derive(clap::Args)]
pub struct Args {
    /// Image
    file: PathBuf,
    /// Text (repeatable)
    #[arg(long, required_unless_present = "input", conflicts_with = "input", allow_hyphen_values = true)]
    text: Vec<String>,
    /// File with one text per line
    #[arg(long, value_name = "LINES.txt")]
    input: Option<PathBuf>,
    /// Write the embeddings (texts, width) to a NumPy file or as raw little-endian f32 [default: print them]
    #[arg(short, long, value_name = "OUT.npy|OUT.f32", value_parser = parse_output)]
    output: Option<PathBuf>,
    /// Scale each embedding to length 1 (L2); some models do this themselves
    #[arg(long)]
    normalize: bool,
    #[command(flatten)]
    workers: WorkerArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Default, Serialize)]
struct Report {
    rows: usize,
    width: usize,
    tokens: Vec<usize>,
    #[serde(rename = "left_out")]
    truncated: Vec<usize>,
    /// Only if they are not written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    embeddings: Option<Vec<Vec<f32>>>,
    kernels: &'static str,
    /// Threads that received work.
    threads: usize,
}

/// Arguments that do not fit each other or the model.
#[derive(Clone, Debug, thiserror::Error)]
enum EmbedError {
    #[error("expected a name that ends in .npy or .f32")]
    OutputName,
    #[error("this model labels each token, so rows differ in length and cannot be written to one array; remove -o to print them")]
    TokenClassifier,
    #[error("{text}: {source}")]
    Text { text: String, source: attoformer::Error },
}

fn parse_output(text: &str) -> Result<PathBuf, EmbedError> {
    match Path::new(text).extension().and_then(|extension| extension.to_str()) {
        Some("npy" | "f32") => Ok(text.into()),
        _ => Err(EmbedError::OutputName),
    }
}

/// Embeds, and writes or prints.
pub fn run(args: Args) -> Result<(), Error> {
    for input in args.input.iter().chain([&args.file]) {
        args.output.iter().try_for_each(|output| files::check_distinct(output, input))?;
    }
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.file))?;
    if args.output.is_some() && image.config().classifier == Classifier::Tokens {
        return Err(Error::file(&args.file)(EmbedError::TokenClassifier));
    }
    let setup = args.workers.setup()?;
    let report = match &args.output {
        Some(path) => files::write_whole(path, |file| embed_to(&args, &image, setup, Some((path, file))))?,
        None => embed_to(&args, &image, setup, None)?,
    };
    match report {
        Some(report) if args.json => print_json(&report),
        Some(report) if args.output.is_some() => {
            eprintln!("{} embeddings of {} values", report.rows, report.width);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Embeds the texts into a file or prints them; no report if the reader closed stdout.
fn embed_to(args: &Args, image: &Image, setup: Setup, file: Option<(&Path, &mut BufWriter<&File>)>) -> Result<Option<Report>, Error> {
    let text = args.input.as_deref().map(files::map).transpose()?;
    // Printed rows already show the progress.
    let progress = match &text {
        Some(text) if file.is_some() => Progress::new("bytes", text.len() as u64),
        _ => Progress::silent(),
    };
    let mut output = Output::new(args, image.config().output_dim(1) as usize, file, &progress)?;
    output.report.kernels = setup.kernels.name();
    let take = |chunk, made| output.take(&chunk, made);
    let blame = |number, error| args.blame(number, error);
    let open = OpenImage { image, path: &args.file };
    let job = EmbedJob { open, setup, threads: args.workers.threads(), l2_normalize: args.normalize };
    let done = match (&args.input, &text) {
        (Some(path), Some(text)) => job.run(lines(path, text), blame, take),
        _ => job.run(given(&args.text), blame, take),
    };
    match done {
        Ok(threads) => output.finish(threads).map(Some),
        Err(Stop::Closed) => Ok(None),
        Err(Stop::Failed(error)) => Err(error),
    }
}

impl Args {
    /// Adds the text to an error of the engine, unless it is about the model.
    fn blame(&self, number: usize, source: attoformer::Error) -> Error {
        let text = match (source, &self.input) {
            (attoformer::Error::Architecture { .. } | attoformer::Error::NoTokenizer, _) => return Error::engine(&self.file)(source),
            (_, Some(input)) => format!("line {number} of {}", input.display()),
            (_, None) => format!("text {number}"),
        };
        Error::file(&self.file)(EmbedError::Text { text, source })
    }
}

/// Destination of the rows.
struct Output<'o, 'f> {
    file: Option<(&'o Path, RowFile<&'o mut BufWriter<&'f File>>)>,
    json: bool,
    report: Report,
    progress: &'o Progress,
}

impl<'o, 'f> Output<'o, 'f> {
    fn new(
        args: &Args,
        width: usize,
        file: Option<(&'o Path, &'o mut BufWriter<&'f File>)>,
        progress: &'o Progress,
    ) -> Result<Self, Error> {
        let start = |(path, out): (&'o Path, _)| {
            let npy = path.extension().is_some_and(|extension| extension == "npy");
            RowFile::new(out, width, npy).map(|rows| (path, rows)).map_err(Error::io(path))
        };
        let file = file.map(start).transpose()?;
        let report = Report { width, embeddings: (args.json && file.is_none()).then(Vec::new), ..Report::default() };
        Ok(Output { file, json: args.json, report, progress })
    }

    fn take(&mut self, chunk: &Chunk, made: Vec<Embedding>) -> Result<(), Stop> {
        for (number, row) in (chunk.first..).zip(made) {
            if row.truncated > 0 {
                self.progress.note(&format!("note: text {number} exceeds the context; its last {} tokens are truncated", row.truncated));
            }
            self.report.rows += 1;
            if self.json {
                self.report.tokens.push(row.tokens);
                self.report.truncated.push(row.truncated);
            }
            match (&mut self.file, &mut self.report.embeddings) {
                (Some((path, file)), _) => file.push(&row.values).map_err(Error::io(path))?,
                (None, Some(all)) => all.push(row.values),
                (None, None) => print_row(&row.values)?,
            }
        }
        self.progress.advance(chunk.bytes as u64);
        Ok(())
    }

    fn finish(self, threads: usize) -> Result<Report, Error> {
        if let Some((path, file)) = self.file {
            file.finish().map_err(Error::io(path))?;
        }
        Ok(Report { threads, ..self.report })
    }
}

fn print_row(values: &[f32]) -> Result<(), Stop> {
    let values: Vec<String> = values.iter().map(f32::to_string).collect();
    if print_unless_closed(&(values.join(" ") + "\n"))? { Ok(()) } else { Err(Stop::Closed) }
}

/// Reason to stop early.
enum Stop {
    Failed(Error),
    /// The reader closed stdout.
    Closed,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}
