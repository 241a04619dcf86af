//! `atto embed`.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer::image::Classifier;
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::embed::{Chunk, Embedding, RowFile, embed_all, given, lines};
use attoformer_tools::{Error, files};
use serde::Serialize;

use super::args::Workers;

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
    #[command(flatten)]
    workers: Workers,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Default, Serialize)]
struct Report {
    rows: usize,
    width: usize,
    tokens: Vec<usize>,
    left_out: Vec<usize>,
    /// Only where they are not written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    embeddings: Option<Vec<Vec<f32>>>,
    kernels: &'static str,
    /// Those that there was work for.
    threads: usize,
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
        args.output.iter().try_for_each(|output| files::check_distinct(output, input))?;
    }
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.file))?;
    if args.output.is_some() && image.config().classifier == Classifier::Tokens {
        return Err(Error::file(&args.file)("it labels every token, so that texts have rows of different lengths: print them".to_owned()));
    }
    let setup = args.workers.setup()?;
    let report = match &args.output {
        Some(path) => files::write_whole(path, |file| embed_to(&args, &image, &setup, Some((path, file))))?,
        None => embed_to(&args, &image, &setup, None)?,
    };
    match report {
        Some(report) if args.json => super::print_json(&report),
        Some(report) if args.output.is_some() => {
            eprintln!("{} embeddings of {} values", report.rows, report.width);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Encodes the texts asked for, to a file or to stdout; no report where the reader of stdout had enough.
fn embed_to(args: &Args, image: &Image, setup: &Setup, file: Option<(&Path, &mut BufWriter<&File>)>) -> Result<Option<Report>, Error> {
    let text = args.input.as_deref().map(files::map).transpose()?;
    let threads = args.workers.threads();
    // Rows on a screen are progress enough.
    let progress = match &text {
        Some(text) if file.is_some() => Progress::new("bytes", text.len() as u64),
        _ => Progress::silent(),
    };
    let mut output = Output::new(args, image.config().output_dim(1) as usize, file, &progress)?;
    output.report.kernels = setup.kernels.name();
    let take = |chunk, made| output.take(&chunk, made);
    let refuse = |number, error| args.refuse(number, error);
    let subject = OpenImage { image, path: &args.file };
    let done = match (&args.input, &text) {
        (Some(path), Some(text)) => embed_all(subject, setup, threads, args.normalize, lines(path, text), refuse, take),
        _ => embed_all(subject, setup, threads, args.normalize, given(&args.text), refuse, take),
    };
    match done {
        Ok(threads) => output.finish(threads).map(Some),
        Err(Stop::NobodyReads) => Ok(None),
        Err(Stop::Failed(error)) => Err(error),
    }
}

impl Args {
    /// What the engine said of a text, in the words of the command.
    fn refuse(&self, number: usize, error: attoformer::Error) -> Error {
        let of_the_text = match (error, &self.input) {
            (attoformer::Error::Architecture { .. } | attoformer::Error::NoTokenizer, _) => return Error::engine(&self.file)(error),
            (_, Some(input)) => format!("line {number} of {}", input.display()),
            (_, None) => format!("text {number}"),
        };
        Error::file(&self.file)(format!("{of_the_text}: {error}"))
    }
}

/// Where rows go.
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
        let begin = |(path, out): (&'o Path, _)| {
            let npy = path.extension().is_some_and(|extension| extension == "npy");
            RowFile::new(out, width, npy).map(|rows| (path, rows)).map_err(Error::io(path))
        };
        let file = file.map(begin).transpose()?;
        let report = Report { width, embeddings: (args.json && file.is_none()).then(Vec::new), ..Report::default() };
        Ok(Output { file, json: args.json, report, progress })
    }

    fn take(&mut self, chunk: &Chunk, made: Vec<Embedding>) -> Result<(), Stop> {
        for (number, row) in (chunk.first..).zip(made) {
            if row.left_out > 0 {
                let note = format!("note: text {number} is longer than the context; its last {} tokens are left out", row.left_out);
                self.progress.note(&note);
            }
            self.report.rows += 1;
            if self.json {
                self.report.tokens.push(row.tokens);
                self.report.left_out.push(row.left_out);
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
    if super::print_on(&(values.join(" ") + "\n"))? { Ok(()) } else { Err(Stop::NobodyReads) }
}

/// Why no further rows are made.
enum Stop {
    Failed(Error),
    /// The reader of stdout has what it wanted.
    NobodyReads,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}
