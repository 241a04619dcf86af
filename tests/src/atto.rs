//! Runs the built command-line tool as a script would.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use xtask::process::{cargo, root, run};

/// The `atto` of the tests' profile, built if it is missing or older than its sources.
///
/// # Panics
/// If it does not build.
pub fn atto() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PROGRAM.get_or_init(build))
}

fn build() -> PathBuf {
    // The path of a test is `<target>/<profile>/deps/<test>`.
    let test = std::env::current_exe().expect("a running program has a path");
    let profile = test.ancestors().nth(2).expect("a test is two folders deep");
    let target = profile.parent().expect("a profile's folder is in the target folder");
    let name = match profile.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--quiet", "--package", "attoformer-tools", "--bin", "atto", "--profile", name]);
    run(command.arg("--target-dir").arg(target)).unwrap_or_else(|error| panic!("{error:#}"));
    profile.join("atto").with_extension(std::env::consts::EXE_EXTENSION)
}

/// Result of one run of `atto`.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; `None` if a signal ended the run.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Wall-clock time.
    pub time: Duration,
}

/// Runs `atto`.
///
/// # Panics
/// If it cannot be started.
pub fn run_atto<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Outcome {
    finished(atto().args(args))
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started.
pub fn finished(command: &mut Command) -> Outcome {
    let began = Instant::now();
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: status.code(), stdout: text(&stdout), stderr: text(&stderr), time: began.elapsed() }
}

impl Outcome {
    /// Returns the error sentence of a refusal: exit code 1, nothing on stdout, one line on stderr.
    ///
    /// # Errors
    /// A description of any other outcome.
    pub fn refusal(&self) -> Result<&str, String> {
        let mut lines = self.stderr.lines();
        match (self.code, lines.next().and_then(|line| line.strip_prefix("error: ")), lines.next()) {
            (Some(1), Some(sentence), None) if self.stdout.is_empty() && !sentence.is_empty() => Ok(sentence),
            _ => Err(format!("not a refusal in one line: {self:?}")),
        }
    }
}
