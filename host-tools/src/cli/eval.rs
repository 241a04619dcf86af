//! `atto eval`.

use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::eval::accuracy::{self, Examples};
use attoformer_tools::eval::perplexity::{self, Metrics};
use attoformer_tools::eval::{reference, sts};
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
}

/// Perplexity on a text, and KL divergence from a reference
#[derive(clap::Args)]
pub struct PerplexityArgs {
    /// Image
    file: PathBuf,
    /// UTF-8 text; documents are separated by lines that read <|endoftext|>
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
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
    /// Folder of audio clips, pictures, rows of features or lines of text: LABEL/FILE, or LABEL_REST.wav in the folder itself
    #[arg(long, value_name = "FOLDER", required_unless_present = "list", conflicts_with = "list")]
    inputs: Option<PathBuf>,
    /// List of inputs: file or text, comma (tab in a .tsv), label
    #[arg(long, value_name = "LABELS.csv")]
    list: Option<PathBuf>,
    #[command(flatten)]
    comparison: Comparison,
}

/// Options of all measurements.
#[derive(clap::Args)]
struct Comparison {
    /// Reference: another image, or the source model (compared in f32)
    #[arg(long, value_name = "SRC")]
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

/// A text or a reference that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
enum PerplexityError {
    #[error("the text has no token to predict")]
    NoTokens,
    #[error("its vocabulary has {vocab} tokens, that of {} has {expected}", image.display())]
    Vocabulary { vocab: u32, image: PathBuf, expected: u32 },
}

/// Measures and reports.
pub fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Perplexity(args) => run_perplexity(&args),
        Command::Sts(args) => run_sts(&args),
        Command::Accuracy(args) => run_accuracy(&args),
    }
}

fn run_sts(args: &StsArgs) -> Result<(), Error> {
    let metrics = measure_sts(args)?;
    if metrics.truncated > 0 {
        eprintln!("note: {} sentences exceed the context; their last tokens are truncated", metrics.truncated);
    }
    if args.comparison.json {
        return print_json(&metrics);
    }
    let mut text = format!("Spearman {:.4}, Pearson {:.4} over {} pairs\n", metrics.spearman, metrics.pearson, metrics.pairs);
    if let (Some(reference), Some(cosine)) = (metrics.reference_spearman, metrics.reference_cosine) {
        text += &format!("reference Spearman {reference:.4}, mean cosine similarity to its embeddings {cosine:.5}\n");
    }
    print(&text)
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
    let mut text = format!("accuracy {:.2} %: {} of {} inputs", 100.0 * metrics.accuracy, metrics.correct, metrics.inputs);
    text += &match metrics.skipped {
        0 => "\n".to_owned(),
        count => format!("; {count} skipped, whose label the model does not have\n"),
    };
    if let (Some(accuracy), Some(agreement), Some(difference)) = (metrics.reference_accuracy, metrics.agreement, metrics.largest_difference)
    {
        text +=
            &format!("reference {:.2} %, the same label on {:.2} %, logits within {difference:.2e}\n", 100.0 * accuracy, 100.0 * agreement);
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
        let examples = match (&args.inputs, &args.list) {
            (Some(folder), _) => Examples::of_folder(folder, open)?,
            (None, Some(list)) => Examples::of_list(list, open)?,
            (None, None) => unreachable!("clap requires one of them"),
        };
        let progress = Progress::new("inputs", examples.list.len() as u64);
        accuracy::measure(open, other, &setup, threads, &examples, &progress)
    })
}

fn run_perplexity(args: &PerplexityArgs) -> Result<(), Error> {
    let metrics = measure(args)?;
    if metrics.tokens == 0 {
        return Err(Error::file(&args.text)(PerplexityError::NoTokens));
    }
    if args.comparison.json {
        return print_json(&metrics);
    }
    let mut text = format!("perplexity {:.4} over {} tokens\n", metrics.perplexity, metrics.tokens);
    if let Metrics { reference_perplexity: Some(reference), kl_mean: Some(kl), top1_agreement: Some(agreement), .. } = metrics {
        let over = 100.0 * (metrics.perplexity / reference - 1.0);
        text +=
            &format!("reference  {reference:.4} ({over:+.2} %), KL divergence {kl:.5} nats, top-1 agreement {:.2} %\n", 100.0 * agreement);
    }
    print(&text)
}

fn measure(args: &PerplexityArgs) -> Result<Metrics, Error> {
    let text = files::text(&args.text)?;
    let documents: Vec<&str> = perplexity::documents(&text).collect();
    let progress = Progress::new("documents", documents.len() as u64);
    args.comparison.measure(&args.file, |open, other, mut setup, threads| {
        let config = open.image.config();
        if let Some(other) = other {
            let vocab = other.image.config().vocab;
            if vocab != config.vocab {
                let image = open.path.to_owned();
                return Err(Error::file(other.path)(PerplexityError::Vocabulary { vocab, image, expected: config.vocab }));
            }
            setup.context = Some(config.context);
        }
        perplexity::measure(open, other, &setup, threads, documents, &progress)
    })
}
