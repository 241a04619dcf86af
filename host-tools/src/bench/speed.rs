//! How fast an image runs here.

use std::time::{Duration, Instant};

use attoformer::image::InputStem;
use attoformer::{Error, Session};

/// Time that a measurement should take at least, so that a short one is repeated.
const ENOUGH: Duration = Duration::from_secs(1);

/// Speeds, each the best of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Speeds {
    /// Prompt tokens per second; `None` without any.
    pub prefill: Option<f64>,
    /// Generated tokens per second, one by one; `None` without any.
    pub decode: Option<f64>,
}

/// Feeds `prompt` tokens, then `generate` more one by one, again and again.
///
/// # Errors
/// What the engine says.
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
        if began.elapsed() >= ENOUGH {
            return Ok(best);
        }
    }
}

/// Seconds that an encoder takes for one sequence of `count` tokens, or rows of features, the best of the rounds.
///
/// # Errors
/// What the engine says.
pub fn measure_encoder(session: &mut Session, count: usize) -> Result<f64, Error> {
    let reads_tokens = session.config().input_stem == InputStem::Tokens;
    let tokens = if reads_tokens { spread(session, count) } else { Vec::new() };
    let features = vec![0.5; count * session.config().features as usize];
    let mut best = f64::INFINITY;
    let began = Instant::now();
    while best.is_infinite() || began.elapsed() < ENOUGH {
        let start = Instant::now();
        if reads_tokens { session.encode(&tokens) } else { session.encode_features(&features) }?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Neighbours in a text are far apart in the vocabulary; so are these.
pub(crate) fn spread(session: &Session, count: usize) -> Vec<u32> {
    let vocab = session.config().vocab as u64;
    (0..count as u64).map(|index| (index * 7919 % vocab) as u32).collect()
}

/// Things per second; `None` for no things.
pub fn rate(count: usize, time: Duration) -> Option<f64> {
    (count > 0).then(|| count as f64 / time.as_secs_f64().max(1e-9))
}

/// The most memory this process ever held, where the system tells.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim_end().parse().ok()?;
    Some(kibibytes * 1024)
}
