//! Running a test runner and counting what it reports.

use std::{
    fmt,
    io::{BufRead, BufReader, Read},
    ops::AddAssign,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};

use crate::process::spelled;

/// Tests that passed and tests that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u32,
    /// Tests that failed.
    pub failed: u32,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// A run with failures.
#[derive(Debug)]
pub struct Failed(pub Tally);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} tests did not pass", self.0.failed, self.0.passed + self.0.failed)
    }
}

impl std::error::Error for Failed {}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs `cargo test` or `cargo nextest run`, shows its output and adds up its summaries. Fails when a test failed (the error
/// is then a [`Failed`]), or when the runner failed for another reason.
pub fn run(command: &mut Command) -> Result<Tally> {
    let name = spelled(command);
    let start = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = start.with_context(|| format!("`{name}` could not be started"))?;
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

/// What a line counts: `Summary [..] 12 tests run: 11 passed, 1 failed` or `test result: ok. 12 passed; 0 failed; ..`.
fn summary(line: &str) -> Tally {
    // nextest indents what a failed test printed, and that test's own "test result" with it.
    if !line.trim_start().starts_with("Summary [") && !line.starts_with("test result:") {
        return Tally::default();
    }
    let words: Vec<&str> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    let before = |name: &str| words.windows(2).find(|pair| pair[1] == name).and_then(|pair| pair[0].parse().ok()).unwrap_or(0);
    Tally { passed: before("passed"), failed: before("failed") + before("timed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_understood() {
        let nextest = "     Summary [   0.021s] 13 tests run: 11 passed (1 slow), 2 failed, 4 skipped";
        assert_eq!(summary(nextest), Tally { passed: 11, failed: 2 });
        let cargo = "test result: FAILED. 7 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(summary(cargo), Tally { passed: 7, failed: 1 });
        assert_eq!(summary("    test result: FAILED. 0 passed; 1 failed; 0 ignored"), Tally::default());
        assert_eq!(summary("test both_runners_are_understood ... ok"), Tally::default());
    }
}
