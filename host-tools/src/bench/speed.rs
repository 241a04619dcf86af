//! Prefill, decode and encode speed.

use std::time::{Duration, Instant};

use attoformer::image::InputStem;
use attoformer::{Error, Session};

/// Minimum duration of a measurement; shorter ones are repeated.
const MIN_DURATION: Duration = Duration::from_secs(1);

/// Speeds, each the best of all rounds.
#[derive(Clone, Copy, Debug)]
pub struct Speeds {
    /// Prefill tokens per second; `None` without prompt tokens.
    pub prefill: Option<f64>,
    /// Decode tokens per second; `None` without generated tokens.
    pub decode: Option<f64>,
}

/// Repeats a prefill of `prompt` tokens and `generate` decode steps.
///
/// # Errors
/// Those of the engine.
pub fn measure(session: &mut Session, prompt: usize, generate: usize) -> Result<Speeds, Error> {
    let tokens = spread(session, prompt + generate);
    let (fed, stepped) = tokens.split_at(prompt);
    let mut best = Speeds { prefill: None, decode: None };
    // `None` is less than any speed.
    let faster = |best: Option<f64>, found: Option<f64>| if found > best { found } else { best };
    let began = Instant::now();
    loop {
        session.reset();
        let start = Instant::now();
        session.prefill(fed)?;
        best.prefill = faster(best.prefill, rate(fed.len(), start.elapsed()));
        let start = Instant::now();
        for &token in stepped {
            session.step(token)?;
        }
        best.decode = faster(best.decode, rate(stepped.len(), start.elapsed()));
        if began.elapsed() >= MIN_DURATION {
            return Ok(best);
        }
    }
}

/// Seconds that an encoder needs for one sequence of `count` tokens or rows of features, the best of all rounds.
///
/// # Errors
/// Those of the engine.
pub fn measure_encoder(session: &mut Session, count: usize) -> Result<f64, Error> {
    let reads_tokens = session.config().input_stem == InputStem::Tokens;
    let tokens = if reads_tokens { spread(session, count) } else { Vec::new() };
    let features = vec![0.5; count * session.config().features as usize];
    let mut best = f64::INFINITY;
    let began = Instant::now();
    while best.is_infinite() || began.elapsed() < MIN_DURATION {
        let start = Instant::now();
        if reads_tokens { session.encode(&tokens) } else { session.encode_features(&features) }?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Tokens for a measurement. Consecutive tokens of a text are far apart in the vocabulary; so are these.
pub(crate) fn spread(session: &Session, count: usize) -> Vec<u32> {
    let vocab = session.config().vocab as u64;
    (0..count as u64).map(|index| (index * 7919 % vocab) as u32).collect()
}

/// Count per second; `None` for a count of 0.
pub fn rate(count: usize, time: Duration) -> Option<f64> {
    (count > 0).then(|| count as f64 / time.as_secs_f64().max(1e-9))
}

/// Peak resident memory of this process, if the system reports it.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim_end().parse().ok()?;
    Some(kibibytes * 1024)
}
