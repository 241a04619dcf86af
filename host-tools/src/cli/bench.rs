//! `atto bench`.

use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer::image::Architecture;
#[cfg(feature = "plots")]
use attoformer_tools::bench::plot;
use attoformer_tools::bench::scaling::{self, Curve};
use attoformer_tools::bench::{measure, measure_encoder, peak_rss_bytes};
use attoformer_tools::engine::Setup;
use attoformer_tools::{Error, files};
use serde::Serialize;

use super::args::EngineArgs;
use super::output::{print, print_json};

/// Measure the speed of an image on this PC
#[derive(clap::Args)]
pub struct Args {
    /// Image; with --scaling, images to compare
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Tokens per prefill, or per sequence of an encoder
    #[arg(long, default_value_t = 128, value_name = "P")]
    prompt_len: usize,
    /// Tokens to decode one by one after the prefill
    #[arg(long, default_value_t = 64, value_name = "G")]
    gen_len: usize,
    #[command(flatten)]
    engine: EngineArgs,
    /// Measure CPU time and memory over several sequence lengths instead, on one thread
    #[arg(long, conflicts_with_all = ["prompt_len", "gen_len"])]
    scaling: bool,
    /// Sequence lengths in tokens [default: those of 256,1024,4096,16384 that fit the context]
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', requires = "scaling")]
    lengths: Vec<usize>,
    /// Plot CPU time and memory over the sequence length
    #[cfg(feature = "plots")]
    #[arg(long, value_name = "OUT.svg", requires = "scaling")]
    svg: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("several images can only be compared with --scaling; name one image")]
struct SeveralImages;

#[derive(Serialize)]
struct Report {
    /// Decoders and encoder-decoders only.
    prefill_tokens_per_s: Option<f64>,
    /// Decoders and encoder-decoders only.
    decode_tokens_per_s: Option<f64>,
    /// Models with an encoder only.
    encode_ms: Option<f64>,
    /// Models with an encoder only.
    sequences_per_s: Option<f64>,
    kernels: &'static str,
    threads: usize,
    peak_rss_bytes: Option<u64>,
}

/// Measures and reports.
pub fn run(args: Args) -> Result<(), Error> {
    if args.scaling {
        return run_scaling(&args);
    }
    let [file] = &args.files[..] else { return Err(Error::request(SeveralImages)) };
    let refuse = |error| Error::engine(file)(error);
    let bytes = files::map(file)?;
    let image = Image::new(&bytes).map_err(refuse)?;
    let setup = args.engine.setup()?;
    let mut arena = setup.arena(image.config(), file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let (mut speeds, mut encode) = (None, None);
    if image.config().has_encoder() {
        encode = Some(measure_encoder(&mut session, args.prompt_len).map_err(refuse)?);
    }
    if image.config().architecture != Architecture::Encoder {
        speeds = Some(measure(&mut session, args.prompt_len, args.gen_len).map_err(refuse)?);
    }
    let report = Report {
        prefill_tokens_per_s: speeds.and_then(|speeds| speeds.prefill),
        decode_tokens_per_s: speeds.and_then(|speeds| speeds.decode),
        encode_ms: encode.map(|seconds| 1000.0 * seconds),
        sequences_per_s: encode.map(|seconds| 1.0 / seconds),
        kernels: setup.kernels.name(),
        threads: setup.parallel.threads(),
        peak_rss_bytes: peak_rss_bytes(),
    };
    if args.json {
        return print_json(&report);
    }
    let encoding =
        encode.map(|seconds| format!("{} rows in {:.3} ms, {:.1} sequences/s", args.prompt_len, 1000.0 * seconds, 1.0 / seconds));
    let speed = |name: &str, rate: Option<f64>| rate.map(|rate| format!("{name} {rate:.0} tokens/s"));
    let generation: Vec<String> =
        [speed("prefill", report.prefill_tokens_per_s), speed("decode", report.decode_tokens_per_s)].into_iter().flatten().collect();
    let figures: Vec<String> = encoding.into_iter().chain((!generation.is_empty()).then(|| generation.join(", "))).collect();
    let threads = if report.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", report.threads) };
    print(&format!("{} ({} kernels, {threads})\n", figures.join("; "), report.kernels))
}

#[derive(Serialize)]
struct ScalingReport {
    images: Vec<Curve>,
    kernels: &'static str,
    threads: u32,
}

/// Measures several lengths of each image, reports and plots.
fn run_scaling(args: &Args) -> Result<(), Error> {
    let setup = args.engine.single_threaded()?;
    #[cfg(feature = "plots")]
    for (svg, file) in args.svg.iter().flat_map(|svg| args.files.iter().map(move |file| (svg, file))) {
        files::check_distinct(svg, file)?;
    }
    let images = args.files.iter().map(|file| curve(file, setup, &args.lengths)).collect::<Result<Vec<Curve>, Error>>()?;
    #[cfg(feature = "plots")]
    if let Some(path) = &args.svg {
        plot::write(path, &images)?;
    }
    if args.json {
        return print_json(&ScalingReport { images, kernels: setup.kernels.name(), threads: 1 });
    }
    print(&format!("{}({} kernels, 1 thread, CPU time)\n", scaling::table(&images), setup.kernels.name()))
}

/// Measures one image under its file's name.
fn curve(file: &Path, setup: Setup, lengths: &[usize]) -> Result<Curve, Error> {
    let bytes = files::map(file)?;
    let image = Image::new(&bytes).map_err(Error::engine(file))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let fitting = if lengths.is_empty() { scaling::lengths_of(&image) } else { lengths.to_vec() };
    scaling::measure(&name, file, &image, setup, &fitting)
}
