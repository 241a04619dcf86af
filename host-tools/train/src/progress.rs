//! Progress of a run: a bar on a terminal, otherwise occasional lines.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two lines.
const PAUSE: Duration = Duration::from_secs(20);

/// Progress on stderr.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    steps: usize,
    tokens_per_step: usize,
    since: (Instant, usize),
}

impl Progress {
    pub(crate) fn new(steps: usize, done: usize, tokens_per_step: usize) -> Self {
        let style = "{bar:30} step {pos}/{len}, {msg}, {eta} to go";
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(style).expect("the template is well-formed");
            ProgressBar::new(steps as u64).with_position(done as u64).with_style(style)
        });
        Self { bar, steps, tokens_per_step, since: (Instant::now(), done) }
    }

    /// Reports a finished step.
    pub(crate) fn step(&mut self, done: usize, loss: f64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("loss {loss:.3}"));
            bar.set_position(done as u64);
            return;
        }
        let (time, before) = self.since;
        let seconds = time.elapsed().as_secs_f64();
        if time.elapsed() >= PAUSE || done == self.steps {
            let speed = ((done - before) * self.tokens_per_step) as f64 / seconds;
            eprintln!("step {done}/{}, loss {loss:.3}, {speed:.0} tokens/s", self.steps);
            self.since = (Instant::now(), done);
        }
    }

    /// Prints a message.
    pub(crate) fn say(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(what),
            None => eprintln!("{what}"),
        }
    }
}
