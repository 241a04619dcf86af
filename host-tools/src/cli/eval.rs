//! `atto eval`.

use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer_tools::engine::{OpenImage, Setup, thread_pool};
use attoformer_tools::eval::accuracy::{self, Examples};
use attoformer_tools::eval::perplexity::{self, Metrics, ScoringError};
use attoformer_tools::eval::transcripts::{self, Clips};
use attoformer_tools::eval::{pairs, reference, sts};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::{Error, files};

use super::args::WorkerArgs;
use super::output::{print, print_json};

/// Measure the quality of an image on data
#[derive(clap::Subcommand)]
pub enum Command {
    Perplexity(PerplexityArgs),
    Sts(StsArgs),
    Accuracy(AccuracyArgs),
    Transcripts(TranscriptsArgs),
}

/// Perplexity on a text or on sources with their targets, and KL divergence from a reference
#[derive(clap::Args)]
pub struct PerplexityArgs {
    /// Image
    file: PathBuf,
    /// UTF-8 text; documents are separated by lines that read <|endoftext|>
    #[arg(long, value_name = "FILE", required_unless_present = "pairs", conflicts_with = "pairs")]
    text: Option<PathBuf>,
    /// Pairs for an encoder-decoder, one per line: source, tab, target; the targets are scored
    #[arg(long, value_name = "F.tsv")]
    pairs: Option<PathBuf>,
    #[command(flatten)]
    comparison: Comparison,
}

/// Semantic textual similarity: correlation of cosine similarities with human scores
#[derive(clap::Args)]
pub struct StsArgs {
    /// Image
    file: PathBuf,
    /// Tab-separated pairs: column 5 is the score, columns 6 and 7 are the sentences
    #[arg(long, value_name = "F.csv")]
    pairs: PathBuf,
    #[command(flatten)]
    comparison: Comparison,
}

/// Classification accuracy, overall and per label
#[derive(clap::Args)]
pub struct AccuracyArgs {
    /// Image
    file: PathBuf,
    /// Folder or list of inputs: a folder is read like --inputs, a file like --list
    #[arg(long, value_name = "DIR|FILE", required_unless_present_any = ["inputs", "list"], conflicts_with_all = ["inputs", "list"])]
    data: Option<PathBuf>,
    /// Folder of audio clips, pictures, rows of features or lines of text: LABEL/FILE, or LABEL_REST.wav in the folder itself
    #[arg(long, value_name = "FOLDER", conflicts_with = "list")]
    inputs: Option<PathBuf>,
    /// List of inputs: file or text, comma (tab in a .tsv), label
    #[arg(long, value_name = "LABELS.csv")]
    list: Option<PathBuf>,
    #[command(flatten)]
    comparison: Comparison,
}

/// Word error rate of transcripts, and KL divergence along the reference's transcripts
#[derive(clap::Args)]
pub struct TranscriptsArgs {
    /// Image
    file: PathBuf,
    /// Folder of .wav files with their words in .txt files of the same names, or in one expected.json
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    #[command(flatten)]
    comparison: Comparison,
}

/// Options of all measurements.
#[derive(clap::Args)]
struct Comparison {
    /// Reference: another image, or the source model (compared in f32)
    #[arg(long, value_name = "SRC|IMAGE")]
    against: Option<PathBuf>,
    #[command(flatten)]
    workers: WorkerArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Comparison {
    /// Measures the image, and the reference if there is one.
    fn measure<T>(
        &self,
        file: &Path,
        measure: impl FnOnce(OpenImage<'_>, Option<OpenImage<'_>>, Setup, usize) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let bytes = files::map(file)?;
        let image = Image::new(&bytes).map_err(Error::engine(file))?;
        let open = OpenImage { image: &image, path: file };
        let (setup, threads) = (self.workers.setup()?, self.workers.threads());
        let Some(path) = &self.against else { return measure(open, None, setup, threads) };
        let bytes = reference(path)?;
        let other = Image::new(&bytes).map_err(Error::engine(path))?;
        measure(open, Some(OpenImage { image: &other, path }), setup, threads)
    }
}

/// Measures and reports.
pub fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Perplexity(args) => run_perplexity(&args),
        Command::Sts(args) => run_sts(&args),
        Command::Accuracy(args) => run_accuracy(&args),
        Command::Transcripts(args) => run_transcripts(&args),
    }
}

/// Prints a JSON object, or lines of a name and a value with all values in one column.
fn report(json: bool, metrics: &impl serde::Serialize, lines: &[(&str, String)]) -> Result<(), Error> {
    if json {
        return print_json(metrics);
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    print(&lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect::<String>())
}

/// Mean, standard error and quantiles of the KL divergence.
fn divergence(mean: f64, stderr: Option<f64>, median: Option<f64>, p99: Option<f64>) -> String {
    let error = stderr.map_or(String::new(), |error| format!(" +/- {error:.5}"));
    let quantile = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.5}"));
    format!("{mean:.5}{error} nats (median {}, 99th percentile {})", quantile(median), quantile(p99))
}

fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}

fn run_perplexity(args: &PerplexityArgs) -> Result<(), Error> {
    let metrics = measure_perplexity(args)?;
    let mut lines = vec![("perplexity", format!("{:.4}", metrics.perplexity)), ("tokens", metrics.tokens.to_string())];
    let Metrics { reference_perplexity, kl_mean, top1_agreement, .. } = metrics;
    if let (Some(reference), Some(kl), Some(agreement)) = (reference_perplexity, kl_mean, top1_agreement) {
        let over = 100.0 * (metrics.perplexity / reference - 1.0);
        lines.push(("reference perplexity", format!("{reference:.4} ({over:+.2} %)")));
        lines.push(("KL divergence", divergence(kl, metrics.kl_stderr, metrics.kl_median, metrics.kl_p99)));
        lines.push(("top-1 agreement", percent(agreement)));
    }
    report(args.comparison.json, &metrics, &lines)
}

fn measure_perplexity(args: &PerplexityArgs) -> Result<Metrics, Error> {
    let compare = &args.comparison;
    if let Some(path) = &args.pairs {
        let text = files::text(path)?;
        let pairs = pairs::parse(&text).map_err(Error::file(path))?;
        let progress = Progress::new("pairs", pairs.len() as u64);
        return compare.measure(&args.file, |open, other, setup, threads| pairs::measure(open, other, &setup, threads, &pairs, &progress));
    }
    let Some(path) = &args.text else { unreachable!("clap requires one of them") };
    let text = files::text(path)?;
    let documents: Vec<&str> = perplexity::documents(&text).collect();
    let progress = Progress::new("documents", documents.len() as u64);
    let metrics = compare.measure(&args.file, |open, other, setup, threads| {
        let setup = Setup { parallel: thread_pool(threads as u32)?, ..setup };
        perplexity::measure(open, other, &setup, threads, documents, &progress)
    })?;
    if metrics.tokens == 0 { Err(Error::file(path)(ScoringError::NoTokens)) } else { Ok(metrics) }
}

fn run_sts(args: &StsArgs) -> Result<(), Error> {
    let metrics = measure_sts(args)?;
    if metrics.truncated > 0 {
        eprintln!("note: {} sentences exceed the context; their last tokens are truncated", metrics.truncated);
    }
    let mut lines = vec![
        ("Spearman", format!("{:.4}", metrics.spearman)),
        ("Pearson", format!("{:.4}", metrics.pearson)),
        ("pairs", metrics.pairs.to_string()),
    ];
    if let (Some(reference), Some(mean), Some(least)) = (metrics.reference_spearman, metrics.cosine_mean, metrics.cosine_min) {
        lines.push(("reference Spearman", format!("{reference:.4}")));
        lines.push(("cosine to reference", format!("mean {mean:.5}, least {least:.5}")));
    }
    report(args.comparison.json, &metrics, &lines)
}

fn measure_sts(args: &StsArgs) -> Result<sts::Metrics, Error> {
    let text = files::text(&args.pairs)?;
    let pairs = sts::pairs(&text).map_err(Error::file(&args.pairs))?;
    let progress = Progress::new("pairs", pairs.len() as u64);
    args.comparison.measure(&args.file, |open, other, setup, threads| sts::measure(open, other, &setup, threads, &pairs, &progress))
}

fn run_accuracy(args: &AccuracyArgs) -> Result<(), Error> {
    let metrics = measure_accuracy(args)?;
    if args.comparison.json {
        return print_json(&metrics);
    }
    let mut text = format!("accuracy {}: {} of {} inputs", percent(metrics.accuracy), metrics.correct, metrics.samples);
    text += &match metrics.skipped {
        0 => "\n".to_owned(),
        count => format!("; {count} skipped, whose label the model does not have\n"),
    };
    if let (Some(accuracy), Some(agreement), Some(difference)) = (metrics.reference_accuracy, metrics.agreement, metrics.largest_difference)
    {
        text += &format!("reference {}, the same label on {}, logits within {difference:.2e}\n", percent(accuracy), percent(agreement));
    }
    let width = metrics.labels.iter().map(|label| label.label.chars().count()).max().unwrap_or(0).max(5);
    text += &format!("\n{:width$}  inputs  correct  predicted\n", "label");
    for label in &metrics.labels {
        text += &format!("{:width$}  {:6}  {:7}  {:9}\n", label.label, label.inputs, label.correct, label.predicted);
    }
    print(&text)
}

fn measure_accuracy(args: &AccuracyArgs) -> Result<accuracy::Metrics, Error> {
    args.comparison.measure(&args.file, |open, other, setup, threads| {
        let examples = match (&args.data, &args.inputs, &args.list) {
            (Some(data), ..) if data.is_dir() => Examples::of_folder(data, open)?,
            (_, Some(folder), _) => Examples::of_folder(folder, open)?,
            (Some(list), ..) | (.., Some(list)) => Examples::of_list(list, open)?,
            (None, None, None) => unreachable!("clap requires one of them"),
        };
        let progress = Progress::new("inputs", examples.list.len() as u64);
        accuracy::measure(open, other, &setup, threads, &examples, &progress)
    })
}

fn run_transcripts(args: &TranscriptsArgs) -> Result<(), Error> {
    let clips = Clips::of_folder(&args.data)?;
    let progress = Progress::new("clips", clips.list.len() as u64);
    let metrics = args
        .comparison
        .measure(&args.file, |open, other, setup, threads| transcripts::measure(open, other, &setup, threads, &clips, &progress))?;
    if metrics.skipped > 0 {
        eprintln!("note: {} .wav files are skipped, which have no reference text", metrics.skipped);
    }
    let mut lines = vec![
        ("word error rate", format!("{} of {} words", percent(metrics.word_error_rate), metrics.words)),
        ("clips", metrics.clips.to_string()),
    ];
    if let (Some(rate), Some(same)) = (metrics.reference_word_error_rate, metrics.same_words) {
        lines.push(("reference word error rate", percent(rate)));
        lines.push(("clips with the same words", same.to_string()));
    }
    if let (Some(kl), Some(agreement), Some(positions)) = (metrics.kl_mean, metrics.top1_agreement, metrics.positions) {
        lines.push(("KL divergence", divergence(kl, metrics.kl_stderr, metrics.kl_median, metrics.kl_p99)));
        lines.push(("top-1 agreement", format!("{} of {positions} positions", percent(agreement))));
    }
    report(args.comparison.json, &metrics, &lines)
}
