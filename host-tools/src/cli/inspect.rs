//! `atto inspect`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use attoformer::Image;
use attoformer::format::TensorOrder;
use attoformer::image::{Architecture, AttentionKind};
use attoformer_tools::engine::Setup;
use attoformer_tools::eval::perplexity::documents;
use attoformer_tools::inspect::board::Rows;
use attoformer_tools::inspect::neurons::Neuron;
use attoformer_tools::inspect::{Ablate, InspectOptions, InspectedModel, Inspection, inspect, page, pieces, quantization};
use attoformer_tools::pack::calibrate;
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::embed::write_npy;
use attoformer_tools::run::generate;
use attoformer_tools::{Error, files, import};
use serde::Serialize;

use super::args::Workers;

/// Longest sequence that a text is cut into.
const SEQUENCE: usize = 128;

/// Look inside a model at work on a prompt: a page of attention, logit lens and ablation
#[derive(clap::Args)]
pub struct Args {
    /// The image
    file: PathBuf,
    /// Text to look at; the begin token is put before it
    #[arg(long, required_unless_present = "tokens_in", conflicts_with = "tokens_in", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Tokens to look at as they are, such as 1,403,407
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    tokens_in: Vec<u32>,
    /// The page to write, or a folder for the page, data.json and an .npy file for each array
    #[arg(short, long, value_name = "OUT.html|DIR")]
    output: PathBuf,
    /// Show what each head looks at [default: this and all that the model can show of --lens and --ablate]
    #[arg(long)]
    attention: bool,
    /// Show what each layer would say
    #[arg(long)]
    lens: bool,
    /// Show what each head, MLP and layer is worth to the answer, by taking it away
    #[arg(long)]
    ablate: bool,
    /// Put a part's mean over the prompt, or over --text, in its place instead of nothing
    #[arg(long)]
    mean: bool,
    /// The answer to look at: the text of one token [default: the likeliest token behind the prompt]
    #[arg(long, visible_alias = "token", value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "target_id")]
    target: Option<String>,
    /// The same by its number
    #[arg(long, value_name = "N")]
    target_id: Option<u32>,
    /// Another prompt of as many tokens: show which layer and position carries the difference, by patching
    #[arg(long, value_name = "PROMPT", allow_hyphen_values = true)]
    other: Option<String>,
    /// Layers whose attention or MLP is patched together
    #[arg(long, value_name = "N", default_value_t = 1, requires = "other", value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Show the tokens of a text at which neurons are largest
    #[arg(long, value_name = "TEXT.txt")]
    neurons: Option<PathBuf>,
    /// A neuron to show (repeatable)
    #[arg(long = "neuron", value_name = "LAYER:INDEX", requires = "neurons")]
    named: Vec<Neuron>,
    /// How many of each layer's most_selective neurons to show
    #[arg(long, value_name = "N", default_value_t = 12, requires = "neurons")]
    most_selective: usize,
    /// Show which tensors cost most when they are rounded; the image's checkpoint
    #[arg(long, value_name = "SRC")]
    against: Option<PathBuf>,
    /// The format that --against tries
    #[arg(long, default_value = "int4", requires = "against", value_name = "int8|int4|f16")]
    format: Format,
    /// Show a head's weights as a board computed them: what `cargo xtask attention` printed for the same image and prompt
    #[arg(long, value_name = "ROWS.json")]
    board: Option<PathBuf>,
    /// A text for --mean and --against [default of --against: a built-in one]
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Bytes of a text that are read at most
    #[arg(long, value_name = "BYTES", default_value_t = 16_384)]
    text_bytes: usize,
    #[command(flatten)]
    workers: Workers,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'r> {
    output: String,
    page_bytes: usize,
    tokens: usize,
    answer: Option<&'r str>,
    /// Layer and head that the answer needs most, and the change of its log-probability without it.
    top_head: Option<(usize, usize, f32)>,
    views: Vec<&'static str>,
    seconds: f64,
    kernels: &'static str,
    threads: usize,
}

/// Looks and writes.
pub fn run(args: Args) -> Result<(), Error> {
    let began = Instant::now();
    let as_page = args.output.extension().is_some_and(|extension| extension == "html" || extension == "htm");
    for input in
        [Some(&args.file), args.neurons.as_ref(), args.text.as_ref(), args.against.as_ref(), args.board.as_ref()].into_iter().flatten()
    {
        files::check_distinct(&args.output, input)?;
    }
    if !as_page && args.output.is_file() {
        let what = "it is a file, and neither a folder nor named .html: a page's name ends so, a folder holds page, data and arrays";
        return Err(Error::file(&args.output)(what.to_owned()));
    }
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.file))?;
    let prompt = match &args.prompt {
        Some(text) => tokens_of(&image, text, &args.file)?,
        None => args.tokens_in.clone(),
    };
    let wanted = wanted(&args, &image, &prompt)?;
    let setup = Setup { context: Some(longest(&image, &prompt, &wanted)), ..args.workers.setup()? };
    let model = InspectedModel { image, path: &args.file, setup, threads: args.workers.threads() };
    let mut inspection = inspect(&model, &prompt, &wanted)?;
    inspection.quantization = args.against.as_deref().map(|source| quantization(&args, &model, source)).transpose()?;

    let page_bytes = if as_page { write_page(&args.output, &inspection)? } else { write_folder(&args.output, &inspection)? };
    report(&args, &inspection, page_bytes, began.elapsed().as_secs_f64(), &model)
}

/// A text's tokens as the model reads them.
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

/// What the flags ask for; without any, all that the model can show.
fn wanted(args: &Args, image: &Image, prompt: &[u32]) -> Result<InspectOptions, Error> {
    let writes = image.config().architecture == Architecture::Decoder;
    let unasked = !(args.attention || args.lens || args.ablate);
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
    let neurons = args.neurons.as_ref().map(|path| Ok((name_of(path), sequences(args, image, path)?))).transpose()?;
    Ok(InspectOptions {
        attention: args.attention || (unasked && image.config().attention == AttentionKind::Softmax),
        lens: args.lens || (unasked && writes),
        ablate: (args.ablate || args.mean || (unasked && writes)).then_some(method),
        other: other.map(|other| (other, args.window as usize)),
        target,
        neurons,
        named: args.named.clone(),
        most_selective: args.most_selective,
        board: args.board.as_deref().map(board).transpose()?,
    })
}

/// Rows of a board.
fn board(path: &Path) -> Result<Rows, Error> {
    let text = files::text(path)?;
    serde_json::from_str(&text).map_err(|error| Error::file(path)(format!("it does not hold a board's rows: {error}")))
}

/// The longest input that is run.
fn longest(image: &Image, prompt: &[u32], wanted: &InspectOptions) -> u32 {
    let texts = wanted.neurons.iter().map(|(_, sequences)| sequences);
    let references = wanted.ablate.iter().filter_map(|method| if let Ablate::Mean(sequences) = method { Some(sequences) } else { None });
    let lengths = texts.chain(references).flatten().map(Vec::len);
    let longest = lengths.chain(wanted.other.iter().map(|(other, _)| other.len())).fold(prompt.len().max(1), usize::max);
    // A longer prompt is refused by the session, with both numbers.
    (longest as u32).min(image.config().context)
}

/// The front of a text, cut between characters.
fn text(args: &Args, path: &Path) -> Result<String, Error> {
    let mut text = files::text(path)?;
    text.truncate(text.floor_char_boundary(args.text_bytes));
    Ok(text)
}

/// A text's documents as sequences that fit the context.
fn sequences(args: &Args, image: &Image, path: &Path) -> Result<Vec<Vec<u32>>, Error> {
    let text = text(args, path)?;
    let longest = SEQUENCE.min(image.config().context as usize);
    let mut sequences = Vec::new();
    for document in documents(&text) {
        sequences.extend(tokens_of(image, document, &args.file)?.chunks(longest).map(<[u32]>::to_vec));
    }
    if sequences.is_empty() { Err(Error::file(path)("it holds no text".to_owned())) } else { Ok(sequences) }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn quantization(args: &Args, model: &InspectedModel, source: &Path) -> Result<quantization::View, Error> {
    model.check_writes("the cost of rounding")?;
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

/// The page, its data, and an array in each file.
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
    let views: Vec<&str> = views.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
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
    super::print_json(&Report {
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
