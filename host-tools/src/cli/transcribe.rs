//! `atto transcribe`.

use std::path::PathBuf;
use std::time::Instant;

use attoformer::Image;
use attoformer_tools::engine::{Setup, select_kernels, thread_pool};
use attoformer_tools::run::audio;
use attoformer_tools::run::transcribe::{Segment, TranscribeOptions, language_name, transcribe};
use attoformer_tools::{Error, files};
use serde::Serialize;

/// Write down what is said in a sound
#[derive(clap::Args)]
pub struct Args {
    /// The image
    file: PathBuf,
    /// The sound
    #[arg(value_name = "CLIP.wav")]
    clip: PathBuf,
    /// Write each part on a line with the times when it begins and ends
    #[arg(long)]
    timestamps: bool,
    /// The language that is spoken, such as de, for multilingual models [default: what the model hears]
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// Write it in English, for multilingual models
    #[arg(long)]
    translate: bool,
    /// Threads; no result depends on them
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=super::THREADS_MAX))]
    threads: u32,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'r> {
    text: &'r str,
    tokens: &'r [u32],
    /// Only of multilingual models.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// Only with timestamps.
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
    let options =
        TranscribeOptions::new(&image, args.language.as_deref(), args.translate, args.timestamps).map_err(Error::file(&args.file))?;
    let samples = audio::read_wav(&args.clip, frontend.sample_rate)?;
    let setup = Setup { kernels: select_kernels(args.kernels.as_deref())?, parallel: thread_pool(args.threads)?, ..Setup::default() };
    let mut arena = setup.arena(image.config(), &args.file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let began = Instant::now();
    let mut shown = Ok(());
    let transcript = transcribe(&mut session, &frontend, &samples, options, |text| {
        if !args.json && shown.is_ok() {
            shown = super::print(text);
        }
    })
    .map_err(refuse)?;
    shown?;
    let audio_s = samples.len() as f64 / f64::from(frontend.sample_rate);
    let language = transcript.language.map(|token| language_name(&image, token));
    if !args.json {
        if let (Some(language), None) = (&language, &args.language) {
            eprintln!("language: {language}, as the model hears it");
        }
        return super::print(if args.timestamps { "" } else { "\n" });
    }
    super::print_json(&Report {
        text: &transcript.text,
        tokens: &transcript.tokens,
        language,
        segments: args.timestamps.then_some(&transcript.segments[..]),
        audio_s,
        encode_s: transcript.encode.as_secs_f64(),
        decode_s: transcript.decode.as_secs_f64(),
        real_time_factor: began.elapsed().as_secs_f64() / audio_s,
        peak_rss_bytes: attoformer_tools::bench::peak_rss_bytes(),
    })
}
