//! `atto bench`.

use std::path::PathBuf;

use attoformer::Image;
use attoformer::image::header::Architecture;
use attoformer_tools::bench::{measure, measure_encoder, peak_rss_bytes};
use attoformer_tools::engine::{Setup, kernels_named, threads};
use attoformer_tools::{Error, files};
use serde::Serialize;

/// Measure how fast an image runs here
#[derive(clap::Args)]
pub struct Args {
    /// The image
    file: PathBuf,
    /// Tokens fed together; an encoder's sequence
    #[arg(long, default_value_t = 128, value_name = "P")]
    prompt_len: usize,
    /// Tokens fed one by one behind them
    #[arg(long, default_value_t = 64, value_name = "G")]
    gen_len: usize,
    /// Threads; small models gain nothing
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    /// Of decoders only.
    prefill_tokens_per_s: Option<f64>,
    /// Of decoders only.
    decode_tokens_per_s: Option<f64>,
    /// Of models with an encoder.
    encode_ms: Option<f64>,
    /// The same.
    sequences_per_s: Option<f64>,
    kernels: &'static str,
    threads: usize,
    peak_rss_bytes: Option<u64>,
}

/// Measures and reports.
pub fn run(args: Args) -> Result<(), Error> {
    let refuse = |error| Error::engine(&args.file)(error);
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(refuse)?;
    let setup = Setup { kernels: kernels_named(args.kernels.as_deref())?, parallel: threads(args.threads)?, ..Setup::default() };
    let mut arena = setup.arena(image.config(), &args.file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let (mut speeds, mut encode) = (None, None);
    if image.config().has_encoder() {
        encode = Some(measure_encoder(&mut session, args.prompt_len).map_err(refuse)?);
    }
    if image.config().architecture != Architecture::Encoder {
        speeds = Some(measure(&mut session, args.prompt_len, args.gen_len).map_err(refuse)?);
    }
    let report = Report {
        prefill_tokens_per_s: speeds.map(|speeds| speeds.prefill),
        decode_tokens_per_s: speeds.map(|speeds| speeds.decode),
        encode_ms: encode.map(|seconds| 1000.0 * seconds),
        sequences_per_s: encode.map(|seconds| 1.0 / seconds),
        kernels: setup.kernels.name,
        threads: setup.parallel.threads(),
        peak_rss_bytes: peak_rss_bytes(),
    };
    if args.json {
        return super::print_json(&report);
    }
    let encoding =
        encode.map(|seconds| format!("{} rows in {:.3} ms, {:.1} sequences/s", args.prompt_len, 1000.0 * seconds, 1.0 / seconds));
    let writing = speeds.map(|speeds| format!("prefill {:.0} tokens/s, decode {:.0} tokens/s", speeds.prefill, speeds.decode));
    let figures: Vec<String> = encoding.into_iter().chain(writing).collect();
    let threads = if report.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", report.threads) };
    super::print(&format!("{} ({} kernels, {threads})\n", figures.join("; "), report.kernels))
}
