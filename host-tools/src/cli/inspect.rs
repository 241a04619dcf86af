//! `atto inspect`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use attoformer::Image;
use attoformer::image::{Architecture, AttentionKind};
use attoformer::internals::format::TensorOrder;
use attoformer_tools::engine::Setup;
use attoformer_tools::eval::perplexity::documents;
use attoformer_tools::inspect::board::Rows;
use attoformer_tools::inspect::neurons::Neuron;
use attoformer_tools::inspect::{Ablate, InspectOptions, InspectedModel, Inspection, inspect, page, pieces, quantization};
use attoformer_tools::pack::calibrate;
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::generate;
use attoformer_tools::run::npy::write_npy;
use attoformer_tools::{Error, files, import};
use serde::Serialize;

use super::args::WorkerArgs;
use super::output::print_json;

/// Longest sequence that a text is split into, in tokens.
const SEQUENCE: usize = 128;

/// Visualize a forward pass: attention, logit lens, ablation, activation patching, neurons
#[derive(clap::Args)]
pub struct Args {
    /// Image
    file: PathBuf,
    /// Prompt text; BOS is added if the model expects it
    #[arg(long, required_unless_present = "tokens_in", conflicts_with = "tokens_in", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Prompt tokens, such as 1,403,407; nothing is added
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    tokens_in: Vec<u32>,
    /// HTML page to write, or a folder for the page, data.json and one .npy file per array
    #[arg(short, long, value_name = "OUT.html|DIR")]
    output: PathBuf,
    /// Attention weights of each head [default: all of --attention, --lens, --ablate that the model supports]
    #[arg(long)]
    attention: bool,
    /// Logit lens: the predictions after each layer
    #[arg(long)]
    lens: bool,
    /// Ablation: the effect of each head, MLP and layer on the answer
    #[arg(long)]
    ablate: bool,
    /// Ablate to the mean over the prompt, or over --text, instead of to zero
    #[arg(long)]
    mean: bool,
    /// Answer to explain: the text of one token [default: the most likely next token]
    #[arg(long, visible_alias = "token", value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "target_id")]
    target: Option<String>,
    /// Answer to explain, as a token number
    #[arg(long, value_name = "N")]
    target_id: Option<u32>,
    /// Activation patching: another prompt of the same length in tokens
    #[arg(long, value_name = "PROMPT", allow_hyphen_values = true)]
    other: Option<String>,
    /// Layers patched together in attention and MLP
    #[arg(long, value_name = "N", default_value_t = 1, requires = "other", value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Text in which to find the tokens that activate neurons most
    #[arg(long, value_name = "TEXT.txt")]
    neurons: Option<PathBuf>,
    /// Neuron to show (repeatable)
    #[arg(long = "neuron", value_name = "LAYER:INDEX", requires = "neurons")]
    named: Vec<Neuron>,
    /// Most selective neurons to show per layer
    #[arg(long, value_name = "N", default_value_t = 12, requires = "neurons")]
    most_selective: usize,
    /// Rank tensors by quantization error; the image's source model
    #[arg(long, value_name = "SRC")]
    against: Option<PathBuf>,
    /// Format that --against tries
    #[arg(long, default_value = "int4", requires = "against", value_name = "int8|int4|f16")]
    format: Format,
    /// Attention weights of a head from a board, printed by `cargo xtask attention` for the same image and prompt
    #[arg(long, value_name = "ROWS.json")]
    board: Option<PathBuf>,
    /// Text for --mean and --against [default of --against: built-in]
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Bytes of a text to read at most
    #[arg(long, value_name = "BYTES", default_value_t = 16_384)]
    text_bytes: usize,
    #[command(flatten)]
    workers: WorkerArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'r> {
    output: String,
    page_bytes: usize,
    tokens: usize,
    answer: Option<&'r str>,
    /// Layer and head with the strongest effect on the answer, and the change of its log-probability.
    top_head: Option<(usize, usize, f32)>,
    views: Vec<&'static str>,
    seconds: f64,
    kernels: &'static str,
    threads: usize,
}

/// An input or output that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
enum InputError {
    #[error("it is a file, neither a folder nor named .html; name a page .html, or a folder for page, data and arrays")]
    Output,
    #[error("these are not the attention weights of a board: {0}")]
    Board(String),
    #[error("the text is blank")]
    NoText,
}

/// Inspects and writes.
pub fn run(args: Args) -> Result<(), Error> {
    let began = Instant::now();
    let as_page = args.output.extension().is_some_and(|extension| extension == "html" || extension == "htm");
    for input in
        [Some(&args.file), args.neurons.as_ref(), args.text.as_ref(), args.against.as_ref(), args.board.as_ref()].into_iter().flatten()
    {
        files::check_distinct(&args.output, input)?;
    }
    if !as_page && args.output.is_file() {
        return Err(Error::file(&args.output)(InputError::Output));
    }
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.file))?;
    let prompt = match &args.prompt {
        Some(text) => tokens_of(&image, text, &args.file)?,
        None => args.tokens_in.clone(),
    };
    let options = options(&args, &image, &prompt)?;
    let setup = Setup { context: Some(longest(&image, &prompt, &options)), ..args.workers.setup()? };
    let model = InspectedModel { image, path: &args.file, setup, threads: args.workers.threads() };
    let mut inspection = inspect(&model, &prompt, &options)?;
    inspection.quantization = args.against.as_deref().map(|source| quantization(&args, &model, source)).transpose()?;

    let page_bytes = if as_page { write_page(&args.output, &inspection)? } else { write_folder(&args.output, &inspection)? };
    report(&args, &inspection, page_bytes, began.elapsed().as_secs_f64(), &model)
}

/// Encodes a text as the model reads it.
fn tokens_of(image: &Image, text: &str, path: &Path) -> Result<Vec<u32>, Error> {
    let refuse = || Error::engine(path);
    if image.config().architecture == Architecture::Decoder {
        return generate::encode(image, text).map_err(refuse());
    }
    let tokenizer = image.tokenizer().map_err(refuse())?;
    let mut tokens = vec![0; tokenizer.max_tokens(text.len())];
    let encoding = tokenizer.encode_with_special_tokens(text, &mut tokens).map_err(refuse())?;
    tokens.truncate(encoding.tokens);
    Ok(tokens)
}

/// The requested views; without flags, all that the model supports.
fn options(args: &Args, image: &Image, prompt: &[u32]) -> Result<InspectOptions, Error> {
    let is_decoder = image.config().architecture == Architecture::Decoder;
    let by_default = !(args.attention || args.lens || args.ablate);
    let target = match (&args.target, args.target_id) {
        (Some(text), _) => Some(pieces::single(image, text).map_err(Error::request)?),
        (None, Some(token)) if token >= image.config().vocab => {
            return Err(Error::engine(&args.file)(attoformer::Error::TokenOutOfRange { token, vocab: image.config().vocab }));
        }
        (None, id) => id,
    };
    let method = match (&args.text, args.mean) {
        (_, false) => Ablate::Zero,
        (None, true) => Ablate::Mean(vec![prompt.to_vec()]),
        (Some(path), true) => Ablate::Mean(sequences(args, image, path)?),
    };
    let other = args.other.as_ref().map(|text| tokens_of(image, text, &args.file)).transpose()?;
    let neurons = args.neurons.as_ref().map(|path| Ok::<_, Error>((name_of(path), sequences(args, image, path)?))).transpose()?;
    Ok(InspectOptions {
        attention: args.attention || (by_default && image.config().attention == AttentionKind::Softmax),
        lens: args.lens || (by_default && is_decoder),
        ablate: (args.ablate || args.mean || (by_default && is_decoder)).then_some(method),
        other: other.map(|other| (other, args.window as usize)),
        target,
        neurons,
        named: args.named.clone(),
        most_selective: args.most_selective,
        board: args.board.as_deref().map(board).transpose()?,
    })
}

/// Reads the attention weights of a board.
fn board(path: &Path) -> Result<Rows, Error> {
    let text = files::text(path)?;
    serde_json::from_str(&text).map_err(|error| Error::file(path)(InputError::Board(error.to_string())))
}

/// Length of the longest input.
fn longest(image: &Image, prompt: &[u32], options: &InspectOptions) -> u32 {
    let texts = options.neurons.iter().map(|(_, sequences)| sequences);
    let references = options.ablate.iter().filter_map(|method| if let Ablate::Mean(sequences) = method { Some(sequences) } else { None });
    let lengths = texts.chain(references).flatten().map(Vec::len);
    let longest = lengths.chain(options.other.iter().map(|(other, _)| other.len())).fold(prompt.len().max(1), usize::max);
    // The session refuses a longer prompt with both numbers.
    (longest as u32).min(image.config().context)
}

/// The start of a text, truncated between characters.
fn text(args: &Args, path: &Path) -> Result<String, Error> {
    let mut text = files::text(path)?;
    text.truncate(text.floor_char_boundary(args.text_bytes));
    Ok(text)
}

/// Splits the documents of a text into sequences that fit the context.
fn sequences(args: &Args, image: &Image, path: &Path) -> Result<Vec<Vec<u32>>, Error> {
    let text = text(args, path)?;
    let longest = SEQUENCE.min(image.config().context as usize);
    let mut sequences = Vec::new();
    for document in documents(&text) {
        sequences.extend(tokens_of(image, document, &args.file)?.chunks(longest).map(<[u32]>::to_vec));
    }
    if sequences.is_empty() { Err(Error::file(path)(InputError::NoText)) } else { Ok(sequences) }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn quantization(args: &Args, model: &InspectedModel, source: &Path) -> Result<quantization::View, Error> {
    model.check_decoder("the ranking by quantization error")?;
    let checkpoint = import::open(source, None)?;
    let (name, mut text) = match &args.text {
        Some(path) => (name_of(path), text(args, path)?),
        None => ("the built-in text".to_owned(), calibrate::TEXT.to_owned()),
    };
    text.truncate(text.floor_char_boundary(args.text_bytes));
    let setup = Setup { context: Some(SEQUENCE.min(checkpoint.config.context as usize) as u32), ..model.setup };
    let order = TensorOrder::new(&checkpoint.config);
    let rounded = (0..order.count()).filter(|&index| !order.role_at(index).0.is_always_f32()).count();
    let progress = Progress::new("tensors", rounded as u64);
    quantization::view(&checkpoint, args.format, setup, quantization::Text { name: &name, text: &text }, &progress)
}

fn write_page(path: &Path, inspection: &Inspection) -> Result<usize, Error> {
    let page = page::page(inspection);
    files::write_whole(path, |file| file.write_all(page.as_bytes()).map_err(Error::io(path)))?;
    Ok(page.len())
}

/// Writes the page, its data, and each array.
fn write_folder(folder: &Path, inspection: &Inspection) -> Result<usize, Error> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let data = folder.join("data.json");
    files::write_whole(&data, |file| serde_json::to_writer(file, inspection).map_err(|error| Error::io(&data)(error.into())))?;
    for (name, shape, values) in inspection.arrays() {
        let path = folder.join(name).with_extension("npy");
        files::write_whole(&path, |file| write_npy(file, &shape, values.iter().copied()).map_err(Error::io(&path)))?;
    }
    write_page(&folder.join("index.html"), inspection)
}

fn report(args: &Args, inspection: &Inspection, page_bytes: usize, seconds: f64, model: &InspectedModel) -> Result<(), Error> {
    let views = [
        ("attention", inspection.attention.is_some()),
        ("lens", inspection.lens.is_some()),
        ("ablation", inspection.ablation.is_some()),
        ("patching", inspection.patching.is_some()),
        ("neurons", inspection.neurons.is_some()),
        ("quantization", inspection.quantization.is_some()),
        ("board", inspection.board.is_some()),
    ];
    let views: Vec<&str> = views.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect();
    let top_head = inspection.ablation.as_ref().and_then(|ablation| ablation.ranking().first().copied());
    if !args.json {
        eprintln!(
            "{}: {page_bytes} bytes with {} of {} tokens, in {seconds:.1} s",
            args.output.display(),
            views.join(", "),
            inspection.prompt.len()
        );
        return Ok(());
    }
    print_json(&Report {
        output: args.output.display().to_string(),
        page_bytes,
        tokens: inspection.prompt.len(),
        answer: inspection.answer.and_then(|answer| inspection.pieces.0.get(&answer)).map(String::as_str),
        top_head,
        views,
        seconds,
        kernels: model.setup.kernels.name(),
        threads: model.threads,
    })
}
