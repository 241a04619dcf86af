//! How time and memory grow with a sequence's length.

use std::path::Path;

use attoformer::image::{Architecture, InputStem};
use attoformer::{Image, Session, arena_bytes};
use serde::Serialize;

use crate::engine::Setup;
use crate::error::Error;
use crate::report::table::{Table, thousands};

/// Lengths that are measured unless others are asked for.
pub const LENGTHS: [usize; 4] = [256, 1024, 4096, 16_384];
/// Runs of each length.
const ROUNDS: usize = 5;
/// Processor time after which a length is not run again, in seconds.
const ENOUGH: f64 = 4.0;

/// One length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Tokens, or rows of features, of the sequence.
    pub tokens: usize,
    /// Processor time for the whole sequence, the median of some runs, in seconds.
    pub seconds: f64,
    /// The quickest of them.
    pub best_seconds: f64,
    /// Bytes of the arena for that length.
    pub arena_bytes: usize,
}

/// One image's lengths.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    /// What the image is called.
    pub name: String,
    /// Lengths as they were asked for.
    pub points: Vec<Point>,
}

/// Feeds an image sequences of these lengths. A decoder takes each in one prefill; an encoder encodes it.
///
/// # Errors
/// [`Error::Request`] for a length of 0, [`attoformer::Error::Context`] for one beyond the packed context, and what the engine says.
pub fn measure(name: &str, path: &Path, image: &Image<'_>, setup: Setup, lengths: &[usize]) -> Result<Curve, Error> {
    let points = lengths.iter().map(|&tokens| point(path, image, setup, tokens)).collect::<Result<_, _>>()?;
    Ok(Curve { name: name.to_owned(), points })
}

/// The default lengths that an image has room for.
pub fn lengths_of(image: &Image<'_>) -> Vec<usize> {
    let room = image.config().context as usize;
    let fitting: Vec<usize> = LENGTHS.into_iter().filter(|&tokens| tokens <= room).collect();
    if fitting.is_empty() { vec![room] } else { fitting }
}

fn point(path: &Path, image: &Image<'_>, setup: Setup, tokens: usize) -> Result<Point, Error> {
    let context = u32::try_from(tokens).ok().filter(|&context| context > 0);
    let context = context.ok_or_else(|| Error::request(format!("a sequence of {tokens} tokens cannot be measured")))?;
    let setup = Setup { context: Some(context), ..setup };
    let mut arena = setup.arena(image.config(), path)?;
    let arena_bytes = arena_bytes(image.config(), setup.plan(image.config()));
    let mut session = setup.session(image, &mut arena).map_err(Error::engine(path))?;
    let mut input = Input::of(&session, tokens);
    let mut times = Vec::new();
    while times.len() < ROUNDS && times.iter().sum::<f64>() < ENOUGH {
        let start = processor_seconds();
        input.run(&mut session).map_err(Error::engine(path))?;
        times.push(processor_seconds() - start);
    }
    times.sort_by(f64::total_cmp);
    Ok(Point { tokens, seconds: times[times.len() / 2], best_seconds: times[0], arena_bytes })
}

/// A sequence to feed.
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

/// What this thread has had of a processor, in seconds; other work of the machine does not count.
#[cfg(unix)]
fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Seconds since the first call, where a thread's own time is not to be had.
#[cfg(not(unix))]
fn processor_seconds() -> f64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_secs_f64()
}

/// All curves; ratios compare a length with the one before it.
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
