//! `atto eval`.

use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::eval::accuracy::{self, Examples};
use attoformer_tools::eval::perplexity::{self, Metrics};
use attoformer_tools::eval::{reference, sts};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::{Error, files};

use super::args::Workers;

/// Measure an image on data
#[derive(clap::Subcommand)]
pub enum Command {
    Perplexity(PerplexityArgs),
    Sts(StsArgs),
    Accuracy(AccuracyArgs),
}

/// How well the image predicts a text
#[derive(clap::Args)]
pub struct PerplexityArgs {
    /// The image
    file: PathBuf,
    /// Documents in UTF-8, parted by lines that read <|endoftext|>
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    #[command(flatten)]
    comparison: Comparison,
}

/// How well an encoder's embeddings follow what people said of pairs of sentences
#[derive(clap::Args)]
pub struct StsArgs {
    /// The image
    file: PathBuf,
    /// Tab-separated pairs: column 5 is the score, 6 and 7 are the sentences
    #[arg(long, value_name = "F.csv")]
    pairs: PathBuf,
    #[command(flatten)]
    comparison: Comparison,
}

/// How often a classifier's likeliest label is the right one, label by label
#[derive(clap::Args)]
pub struct AccuracyArgs {
    /// The image
    file: PathBuf,
    /// A folder of sounds, pictures, rows of features or lines of text: LABEL/FILE, or LABEL_REST.wav in the folder itself
    #[arg(long, value_name = "FOLDER", required_unless_present = "list", conflicts_with = "list")]
    inputs: Option<PathBuf>,
    /// A list of inputs: a file or a text, a comma (a tab in a .tsv), its label
    #[arg(long, value_name = "LABELS.csv")]
    list: Option<PathBuf>,
    #[command(flatten)]
    comparison: Comparison,
}

/// What every measure can be asked for.
#[derive(clap::Args)]
struct Comparison {
    /// Compare with another image, or with the model it was made from, in f32
    #[arg(long, value_name = "SRC")]
    against: Option<PathBuf>,
    #[command(flatten)]
    workers: Workers,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Comparison {
    /// Metrics with the image, and the other one where it is asked for.
    fn measure<T>(
        &self,
        file: &Path,
        measure: impl FnOnce(OpenImage<'_>, Option<OpenImage<'_>>, Setup, usize) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let bytes = files::map(file)?;
        let image = Image::new(&bytes).map_err(Error::engine(file))?;
        let subject = OpenImage { image: &image, path: file };
        let (setup, threads) = (self.workers.setup()?, self.workers.threads());
        let Some(path) = &self.against else { return measure(subject, None, setup, threads) };
        let bytes = reference(path)?;
        let other = Image::new(&bytes).map_err(Error::engine(path))?;
        measure(subject, Some(OpenImage { image: &other, path }), setup, threads)
    }
}

/// Metrics and reports.
pub fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Perplexity(args) => run_perplexity(&args),
        Command::Sts(args) => run_sts(&args),
        Command::Accuracy(args) => run_accuracy(&args),
    }
}

fn run_sts(args: &StsArgs) -> Result<(), Error> {
    let metrics = measure_sts(args)?;
    if metrics.cut > 0 {
        eprintln!("note: {} sentences are longer than the context; their last tokens are left out", metrics.cut);
    }
    if args.comparison.json {
        return super::print_json(&metrics);
    }
    let mut text = format!("Spearman {:.4}, Pearson {:.4} over {} pairs\n", metrics.spearman, metrics.pearson, metrics.pairs);
    if let (Some(reference), Some(cosine)) = (metrics.reference_spearman, metrics.reference_cosine) {
        text += &format!("reference Spearman {reference:.4}, mean cosine to its embeddings {cosine:.5}\n");
    }
    super::print(&text)
}

fn measure_sts(args: &StsArgs) -> Result<sts::Metrics, Error> {
    let text = files::text(&args.pairs)?;
    let pairs = sts::pairs(&text).map_err(Error::file(&args.pairs))?;
    let progress = Progress::new("pairs", pairs.len() as u64);
    args.comparison.measure(&args.file, |subject, other, setup, threads| sts::measure(subject, other, &setup, threads, &pairs, &progress))
}

fn run_accuracy(args: &AccuracyArgs) -> Result<(), Error> {
    let metrics = measure_accuracy(args)?;
    if args.comparison.json {
        return super::print_json(&metrics);
    }
    let mut text = format!("accuracy {:.2} %: {} of {} inputs", 100.0 * metrics.accuracy, metrics.right, metrics.inputs);
    text += &match metrics.left_out {
        0 => "\n".to_owned(),
        count => format!("; {count} left out, whose label the model does not have\n"),
    };
    if let (Some(accuracy), Some(agreement), Some(apart)) = (metrics.reference_accuracy, metrics.agreement, metrics.largest_difference) {
        text += &format!("reference {:.2} %, the same label on {:.2} %, logits within {apart:.2e}\n", 100.0 * accuracy, 100.0 * agreement);
    }
    let width = metrics.labels.iter().map(|label| label.label.chars().count()).max().unwrap_or(0).max(5);
    text += &format!("\n{:width$}  inputs  right  taken for it\n", "label");
    for label in &metrics.labels {
        text += &format!("{:width$}  {:6}  {:5}  {:12}\n", label.label, label.inputs, label.right, label.taken);
    }
    super::print(&text)
}

fn measure_accuracy(args: &AccuracyArgs) -> Result<accuracy::Metrics, Error> {
    args.comparison.measure(&args.file, |subject, other, setup, threads| {
        let examples = match (&args.inputs, &args.list) {
            (Some(folder), _) => Examples::of_folder(folder, subject)?,
            (None, Some(list)) => Examples::of_list(list, subject)?,
            (None, None) => unreachable!("clap asks for one of them"),
        };
        let progress = Progress::new("inputs", examples.list.len() as u64);
        accuracy::measure(subject, other, &setup, threads, &examples, &progress)
    })
}

fn run_perplexity(args: &PerplexityArgs) -> Result<(), Error> {
    let metrics = measure(args)?;
    if metrics.tokens == 0 {
        return Err(Error::file(&args.text)("it holds no text of which a token could be predicted".to_owned()));
    }
    if args.comparison.json {
        return super::print_json(&metrics);
    }
    let mut text = format!("perplexity {:.4} over {} tokens\n", metrics.perplexity, metrics.tokens);
    if let Metrics { reference_perplexity: Some(reference), kl_mean: Some(kl), top1_agreement: Some(agreement), .. } = metrics {
        let over = 100.0 * (metrics.perplexity / reference - 1.0);
        text +=
            &format!("reference  {reference:.4} ({over:+.2} %), KL {kl:.5} nats, likeliest token agrees in {:.2} %\n", 100.0 * agreement);
    }
    super::print(&text)
}

fn measure(args: &PerplexityArgs) -> Result<Metrics, Error> {
    let text = files::text(&args.text)?;
    let documents: Vec<&str> = perplexity::documents(&text).collect();
    let progress = Progress::new("documents", documents.len() as u64);
    args.comparison.measure(&args.file, |subject, other, mut setup, threads| {
        let (config, path) = (subject.image.config(), subject.path.display());
        if let Some(other) = other {
            let vocab = other.image.config().vocab;
            if vocab != config.vocab {
                return Err(Error::file(other.path)(format!("its vocabulary is {vocab}, that of {path} is {}", config.vocab)));
            }
            setup.context = Some(config.context);
        }
        perplexity::measure(subject, other, &setup, threads, documents, &progress)
    })
}
