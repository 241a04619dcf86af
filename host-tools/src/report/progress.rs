//! Progress on stderr: a bar on a terminal, otherwise a line every few seconds.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two lines if stderr is not a terminal; shorter tasks print none.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Progress of a task of known length.
pub struct Progress {
    label: &'static str,
    total: u64,
    done: Cell<u64>,
    start: Instant,
    out: Out,
}

enum Out {
    Bar(ProgressBar),
    /// Time of the last line or of the start.
    Lines(Cell<Instant>),
    Nothing,
}

impl Progress {
    /// Shows progress towards `total` steps.
    pub fn new(label: &'static str, total: u64) -> Self {
        let out = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {eta}").expect("the template is well-formed");
            Out::Bar(ProgressBar::new(total).with_style(style).with_prefix(label))
        } else {
            Out::Lines(Cell::new(Instant::now()))
        };
        Progress { label, total, done: Cell::new(0), start: Instant::now(), out }
    }

    /// Creates progress that is not shown.
    pub fn silent() -> Self {
        Progress { label: "", total: 0, done: Cell::new(0), start: Instant::now(), out: Out::Nothing }
    }

    /// Prints a note between two steps.
    pub fn note(&self, text: &str) {
        match &self.out {
            Out::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Out::Lines(_) | Out::Nothing => eprintln!("{text}"),
        }
    }

    /// Adds finished steps.
    pub fn advance(&self, steps: u64) {
        // A task may turn out to have more steps than announced.
        self.done.set((self.done.get() + steps).min(self.total));
        match &self.out {
            Out::Bar(bar) => bar.inc(steps),
            Out::Lines(last) if last.get().elapsed() >= BETWEEN_LINES => {
                last.set(Instant::now());
                eprintln!("{}: {} of {}, about {} s left", self.label, self.done.get(), self.total, self.seconds_left());
            }
            Out::Lines(_) | Out::Nothing => {}
        }
    }
}

impl Progress {
    /// Remaining time if all steps take as long as those that are done.
    fn seconds_left(&self) -> u64 {
        let (done, left) = (self.done.get().max(1) as f64, (self.total - self.done.get()) as f64);
        (self.start.elapsed().as_secs_f64() / done * left).ceil() as u64
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Out::Bar(bar) = &self.out {
            bar.finish_and_clear();
        }
    }
}
