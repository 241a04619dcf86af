//! `atto eval`.

use std::path::PathBuf;

use attoformer::Image;
use attoformer_tools::engine::{Setup, Subject, kernels_named};
use attoformer_tools::eval::accuracy::{self, Examples};
use attoformer_tools::eval::perplexity::{self, Measures};
use attoformer_tools::eval::{reference, sts};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::{Error, files};

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
    /// Compare with another image, or with the checkpoint it was made from, in f32
    #[arg(long, value_name = "SRC")]
    against: Option<PathBuf>,
    /// Threads, which change no figure [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How well an encoder's embeddings follow what people said of pairs of sentences
#[derive(clap::Args)]
pub struct StsArgs {
    /// The image
    file: PathBuf,
    /// Tab-separated pairs: column 5 is the score, 6 and 7 are the sentences
    #[arg(long, value_name = "F.csv")]
    pairs: PathBuf,
    /// Compare with another image, or with the model it was made from, in f32
    #[arg(long, value_name = "SRC")]
    against: Option<PathBuf>,
    /// Threads, which change no figure [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
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
    /// Compare with another image, or with the model it was made from, in f32
    #[arg(long, value_name = "SRC")]
    against: Option<PathBuf>,
    /// Threads, which change no figure [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
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
    let measures = measure_sts(args)?;
    if measures.cut > 0 {
        eprintln!("note: {} sentences are longer than the context; their last tokens are left out", measures.cut);
    }
    if args.json {
        return super::print_json(&measures);
    }
    let mut text = format!("Spearman {:.4}, Pearson {:.4} over {} pairs\n", measures.spearman, measures.pearson, measures.pairs);
    if let (Some(reference), Some(cosine)) = (measures.reference_spearman, measures.reference_cosine) {
        text += &format!("reference Spearman {reference:.4}, mean cosine to its embeddings {cosine:.5}\n");
    }
    super::print(&text)
}

fn measure_sts(args: &StsArgs) -> Result<sts::Measures, Error> {
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.file))?;
    let text = files::text(&args.pairs)?;
    let pairs = sts::pairs(&text).map_err(Error::file(&args.pairs))?;
    let setup = Setup { kernels: kernels_named(args.kernels.as_deref())?, ..Setup::default() };
    let threads = super::threads_or_all(args.threads);
    let progress = Progress::new("pairs", pairs.len() as u64);
    let subject = Subject { image: &image, path: &args.file };
    let Some(path) = &args.against else {
        return sts::measure(subject, None, &setup, threads, &pairs, &progress);
    };
    let bytes = reference(path)?;
    let other = Image::new(&bytes).map_err(Error::engine(path))?;
    sts::measure(subject, Some(Subject { image: &other, path }), &setup, threads, &pairs, &progress)
}

fn run_accuracy(args: &AccuracyArgs) -> Result<(), Error> {
    let measures = measure_accuracy(args)?;
    if args.json {
        return super::print_json(&measures);
    }
    let mut text = format!("accuracy {:.2} %: {} of {} inputs", 100.0 * measures.accuracy, measures.right, measures.inputs);
    text += &match measures.left_out {
        0 => "\n".to_owned(),
        count => format!("; {count} left out, whose label the model does not have\n"),
    };
    if let (Some(accuracy), Some(agreement), Some(apart)) = (measures.reference_accuracy, measures.agreement, measures.largest_difference) {
        text += &format!("reference {:.2} %, the same label on {:.2} %, logits within {apart:.2e}\n", 100.0 * accuracy, 100.0 * agreement);
    }
    let width = measures.labels.iter().map(|label| label.label.chars().count()).max().unwrap_or(0).max(5);
    text += &format!("\n{:width$}  inputs  right  taken for it\n", "label");
    for label in &measures.labels {
        text += &format!("{:width$}  {:6}  {:5}  {:12}\n", label.label, label.inputs, label.right, label.taken);
    }
    super::print(&text)
}

fn measure_accuracy(args: &AccuracyArgs) -> Result<accuracy::Measures, Error> {
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.file))?;
    let subject = Subject { image: &image, path: &args.file };
    let examples = match (&args.inputs, &args.list) {
        (Some(folder), _) => Examples::of_folder(folder, subject)?,
        (None, Some(list)) => Examples::of_list(list, subject)?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    let setup = Setup { kernels: kernels_named(args.kernels.as_deref())?, ..Setup::default() };
    let threads = super::threads_or_all(args.threads);
    let progress = Progress::new("inputs", examples.list.len() as u64);
    let Some(path) = &args.against else {
        return accuracy::measure(subject, None, &setup, threads, &examples, &progress);
    };
    let bytes = reference(path)?;
    let other = Image::new(&bytes).map_err(Error::engine(path))?;
    accuracy::measure(subject, Some(Subject { image: &other, path }), &setup, threads, &examples, &progress)
}

fn run_perplexity(args: &PerplexityArgs) -> Result<(), Error> {
    let measures = measure(args)?;
    if measures.tokens == 0 {
        return Err(Error::file(&args.text)("it holds no text of which a token could be predicted".to_owned()));
    }
    if args.json {
        return super::print_json(&measures);
    }
    let mut text = format!("perplexity {:.4} over {} tokens\n", measures.perplexity, measures.tokens);
    if let Measures { reference_perplexity: Some(reference), kl_mean: Some(kl), top1_agreement: Some(agreement), .. } = measures {
        let over = 100.0 * (measures.perplexity / reference - 1.0);
        text +=
            &format!("reference  {reference:.4} ({over:+.2} %), KL {kl:.5} nats, likeliest token agrees in {:.2} %\n", 100.0 * agreement);
    }
    super::print(&text)
}

fn measure(args: &PerplexityArgs) -> Result<Measures, Error> {
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.file))?;
    let text = files::text(&args.text)?;
    let documents: Vec<&str> = perplexity::documents(&text).collect();

    let mut setup = Setup { kernels: kernels_named(args.kernels.as_deref())?, ..Setup::default() };
    let threads = super::threads_or_all(args.threads);
    let progress = Progress::new("documents", documents.len() as u64);
    let subject = Subject { image: &image, path: &args.file };
    let Some(path) = &args.against else {
        return perplexity::measure(subject, None, &setup, threads, documents, &progress);
    };

    let bytes = reference(path)?;
    let other = Image::new(&bytes).map_err(Error::engine(path))?;
    if other.config().vocab != image.config().vocab {
        let what = format!("its vocabulary is {}, that of {} is {}", other.config().vocab, args.file.display(), image.config().vocab);
        return Err(Error::file(path)(what));
    }
    setup.context = Some(image.config().context);
    perplexity::measure(subject, Some(Subject { image: &other, path }), &setup, threads, documents, &progress)
}
