//! CPU time and memory over the sequence length.

use std::path::Path;

use attoformer::image::{Architecture, InputStem};
use attoformer::{Image, Session, arena_bytes};
use serde::Serialize;

use crate::engine::Setup;
use crate::error::Error;
use crate::report::table::{Table, thousands};

/// Default lengths in tokens.
pub const LENGTHS: [usize; 4] = [256, 1024, 4096, 16_384];
/// Runs per length.
const ROUNDS: usize = 5;
/// CPU time in seconds after which a length is not repeated.
const TIME_MAX: f64 = 4.0;

/// Measurement of one length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Length in tokens or rows of features.
    pub tokens: usize,
    /// Median CPU time for the whole sequence in seconds.
    pub seconds: f64,
    /// Minimum CPU time in seconds.
    pub best_seconds: f64,
    /// Arena for this length.
    pub arena_bytes: usize,
}

/// Measurements of one image.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// Name of the image.
    pub name: String,
    /// Measurements in the requested order.
    pub points: Vec<Point>,
}

/// A length that cannot be measured.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a sequence of {0} tokens cannot be measured; lengths are 1 to 4294967295")]
pub struct LengthError(usize);

/// Measures an image with sequences of these lengths: one prefill of a decoder, or one call of an encoder.
///
/// # Errors
/// [`LengthError`], [`attoformer::Error::Context`] for a length beyond the context, and other errors of the engine.
pub fn measure(name: &str, path: &Path, image: &Image<'_>, setup: Setup, lengths: &[usize]) -> Result<Curve, Error> {
    let points = lengths.iter().map(|&tokens| point(path, image, setup, tokens)).collect::<Result<_, _>>()?;
    Ok(Curve { name: name.to_owned(), points })
}

/// The default lengths that fit the context of an image.
pub fn lengths_of(image: &Image<'_>) -> Vec<usize> {
    let limit = image.config().context as usize;
    let fitting: Vec<usize> = LENGTHS.into_iter().filter(|&tokens| tokens <= limit).collect();
    if fitting.is_empty() { vec![limit] } else { fitting }
}

fn point(path: &Path, image: &Image<'_>, setup: Setup, tokens: usize) -> Result<Point, Error> {
    let context = u32::try_from(tokens).ok().filter(|&context| context > 0);
    let context = context.ok_or_else(|| Error::request(LengthError(tokens)))?;
    let setup = Setup { context: Some(context), ..setup };
    let mut arena = setup.arena(image.config(), path)?;
    let arena_bytes = arena_bytes(image.config(), setup.plan(image.config()));
    let mut session = setup.session(image, &mut arena).map_err(Error::engine(path))?;
    let mut input = Input::of(&session, tokens);
    let mut times = Vec::new();
    while times.len() < ROUNDS && times.iter().sum::<f64>() < TIME_MAX {
        let start = cpu_seconds();
        input.run(&mut session).map_err(Error::engine(path))?;
        times.push(cpu_seconds() - start);
    }
    times.sort_by(f64::total_cmp);
    Ok(Point { tokens, seconds: times[times.len() / 2], best_seconds: times[0], arena_bytes })
}

/// Input of a measurement.
enum Input {
    Prompt(Vec<u32>),
    Text(Vec<u32>),
    Features(Vec<f32>),
}

impl Input {
    fn of(session: &Session, count: usize) -> Input {
        let config = session.config();
        let tokens = || super::speed::spread(session, count);
        match (config.architecture, config.input_stem) {
            (Architecture::Decoder, _) => Input::Prompt(tokens()),
            (_, InputStem::Tokens) => Input::Text(tokens()),
            _ => Input::Features(vec![0.5; count * config.features as usize]),
        }
    }

    fn run(&mut self, session: &mut Session) -> Result<(), attoformer::Error> {
        match self {
            Input::Prompt(tokens) => {
                session.reset();
                session.prefill(tokens)
            }
            Input::Text(tokens) => session.encode(tokens),
            Input::Features(rows) => session.encode_features(rows),
        }
        .map(|_| ())
    }
}

/// CPU time of this thread in seconds.
#[cfg(unix)]
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Wall-clock seconds since the first call, for systems without CPU time per thread.
#[cfg(not(unix))]
fn cpu_seconds() -> f64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_secs_f64()
}

/// A table of all curves; the ratios compare a length with the previous one.
pub fn table(curves: &[Curve]) -> Table {
    let mut table = Table::new(&["model", "tokens", "ms", "us/token", "arena bytes", "time", "memory"]);
    for curve in curves {
        let mut before: Option<Point> = None;
        for point in &curve.points {
            let times = |now: f64, then: fn(Point) -> f64| before.map_or(String::new(), |before| format!("x{:.2}", now / then(before)));
            table.row([
                curve.name.clone(),
                thousands(point.tokens as u64),
                format!("{:.2}", 1e3 * point.seconds),
                format!("{:.2}", 1e6 * point.seconds / point.tokens as f64),
                thousands(point.arena_bytes as u64),
                times(point.seconds, |before| before.seconds),
                times(point.arena_bytes as f64, |before| before.arena_bytes as f64),
            ]);
            before = Some(*point);
        }
    }
    table
}
