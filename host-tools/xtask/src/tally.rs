//! Runs a test runner and counts the tests that it reports.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    ops::AddAssign,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};

use crate::process::spelled;

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u32,
    /// Tests that failed.
    pub failed: u32,
    /// Tests that did not run.
    pub skipped: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The error of a run with failed tests.
#[derive(Debug)]
pub struct Failed(pub Tally);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} tests failed", self.0.failed, self.0.passed + self.0.failed)
    }
}

impl std::error::Error for Failed {}

impl Tally {
    /// Adds a second run of the same tests that ran some of those that this run skipped by its filter.
    #[must_use]
    pub fn with_rest(self, rest: Self) -> Self {
        let ran = rest.passed + rest.failed;
        Self { passed: self.passed + rest.passed, failed: self.failed + rest.failed, skipped: self.skipped.saturating_sub(ran) }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Runs `cargo test` or `cargo nextest run`, shows its output and adds up its summaries.
///
/// # Errors
/// [`Failed`] if a test failed; another error if the runner failed for another reason.
pub fn run(command: &mut Command) -> Result<Tally> {
    let name = spelled(command);
    let start = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = start.with_context(|| format!("cannot start `{name}`"))?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let output = thread::spawn(move || output.map(echo).unwrap_or_default());
    let mut tally = errors.map(echo).unwrap_or_default();
    tally += output.join().unwrap_or_default();
    let status = child.wait()?;
    if tally.failed > 0 {
        return Err(Failed(tally).into());
    }
    if !status.success() {
        bail!("`{name}` failed ({status})");
    }
    Ok(tally)
}

/// Copies a stream to standard error and counts the summaries in it.
fn echo(stream: impl Read) -> Tally {
    let mut tally = Tally::default();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        eprintln!("{line}");
        tally += summary(&line);
    }
    tally
}

/// Numbers in a summary line: `Summary [..] 12 tests run: 11 passed, 1 failed` or `test result: ok. 12 passed; 0 failed; ..`.
fn summary(line: &str) -> Tally {
    // nextest indents the output of a failed test; a "test result" in it is not a summary.
    if !line.trim_start().starts_with("Summary [") && !line.starts_with("test result:") {
        return Tally::default();
    }
    let words: Vec<&str> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    let before = |name: &str| words.windows(2).find(|pair| pair[1] == name).and_then(|pair| pair[0].parse().ok()).unwrap_or(0);
    Tally { passed: before("passed"), failed: before("failed") + before("timed"), skipped: before("skipped") + before("ignored") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_both_runners_are_read() {
        let nextest = "     Summary [   0.021s] 13 tests run: 11 passed (1 slow), 2 failed, 4 skipped";
        assert_eq!(summary(nextest), Tally { passed: 11, failed: 2, skipped: 4 });
        let cargo = "test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(summary(cargo), Tally { passed: 7, failed: 1, skipped: 0 });
        assert_eq!(summary("    test result: FAILED. 0 passed; 1 failed; 0 ignored"), Tally::default());
        let (functions, timing) = (Tally { passed: 10, failed: 0, skipped: 5 }, Tally { passed: 3, failed: 0, skipped: 12 });
        assert_eq!(functions.with_rest(timing), Tally { passed: 13, failed: 0, skipped: 2 });
        assert_eq!(summary("test summaries_of_both_runners_are_read ... ok"), Tally::default());
    }
}
