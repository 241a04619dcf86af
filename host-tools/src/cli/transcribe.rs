//! `atto transcribe`.

use std::path::PathBuf;
use std::time::Instant;

use attoformer::Image;
use attoformer_tools::bench::peak_rss_bytes;
use attoformer_tools::run::audio;
use attoformer_tools::run::transcribe::{Segment, TranscribeOptions, language_name, transcribe};
use attoformer_tools::{Error, files};
use serde::Serialize;

use super::args::EngineArgs;
use super::output::{print, print_json};

/// Transcribe speech
#[derive(clap::Args)]
pub struct Args {
    /// Image
    file: PathBuf,
    /// Audio clip
    #[arg(value_name = "CLIP.wav")]
    clip: PathBuf,
    /// Print segments with start and end times
    #[arg(long)]
    timestamps: bool,
    /// Spoken language, such as de (multilingual models) [default: detected]
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// Translate to English (multilingual models)
    #[arg(long)]
    translate: bool,
    #[command(flatten)]
    engine: EngineArgs,
    /// Print a JSON object instead of the text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'r> {
    text: &'r str,
    tokens: &'r [u32],
    /// Multilingual models only.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// Only with `--timestamps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<&'r [Segment]>,
    audio_s: f64,
    encode_s: f64,
    decode_s: f64,
    real_time_factor: f64,
    peak_rss_bytes: Option<u64>,
}

/// Transcribes, and streams or reports.
pub fn run(args: Args) -> Result<(), Error> {
    let refuse = |error| Error::engine(&args.file)(error);
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(refuse)?;
    let frontend = audio::frontend(&image, &args.file)?;
    let options = TranscribeOptions::new(&image, args.language.as_deref(), args.translate, args.timestamps);
    let options = options.map_err(Error::file(&args.file))?;
    let samples = audio::read_wav(&args.clip, frontend.sample_rate)?;
    let setup = args.engine.setup()?;
    let mut arena = setup.arena(image.config(), &args.file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let began = Instant::now();
    let mut printed = Ok(());
    let transcript = transcribe(&mut session, &frontend, &samples, options, |text| {
        if !args.json && printed.is_ok() {
            printed = print(text);
        }
    })
    .map_err(refuse)?;
    printed?;
    let audio_s = samples.len() as f64 / f64::from(frontend.sample_rate);
    let language = transcript.language.map(|token| language_name(&image, token));
    if !args.json {
        if let (Some(language), None) = (&language, &args.language) {
            eprintln!("detected language: {language}");
        }
        return print(if args.timestamps { "" } else { "\n" });
    }
    print_json(&Report {
        text: &transcript.text,
        tokens: &transcript.tokens,
        language,
        segments: args.timestamps.then_some(&transcript.segments[..]),
        audio_s,
        encode_s: transcript.encode.as_secs_f64(),
        decode_s: transcript.decode.as_secs_f64(),
        real_time_factor: began.elapsed().as_secs_f64() / audio_s,
        peak_rss_bytes: peak_rss_bytes(),
    })
}
