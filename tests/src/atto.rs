//! The built command-line tool, run as a script would run it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use xtask::process::{cargo, root, run};

/// The `atto` of the profile that the tests run in, built when it is not there yet or older than its sources.
///
/// # Panics
/// When it does not build.
pub fn atto() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PROGRAM.get_or_init(build))
}

fn build() -> PathBuf {
    // A test lies in `<target>/<profile>/deps`.
    let test = std::env::current_exe().expect("a running program has a path");
    let profile = test.ancestors().nth(2).expect("a test lies two folders deep");
    let target = profile.parent().expect("a profile's folder lies in the target folder");
    let name = match profile.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--quiet", "--package", "attoformer-tools", "--bin", "atto", "--profile", name]);
    run(command.arg("--target-dir").arg(target)).unwrap_or_else(|error| panic!("{error:#}"));
    profile.join("atto").with_extension(std::env::consts::EXE_EXTENSION)
}

/// What one run of `atto` did.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// Wall clock.
    pub time: Duration,
}

/// Runs `atto`.
///
/// # Panics
/// When it cannot be started.
pub fn run_atto<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Outcome {
    finished(atto().args(args))
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started.
pub fn finished(command: &mut Command) -> Outcome {
    let began = Instant::now();
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: status.code(), stdout: text(&stdout), stderr: text(&stderr), time: began.elapsed() }
}

impl Outcome {
    /// The sentence of a refusal: exit code 1, nothing on stdout, one line on stderr.
    ///
    /// # Errors
    /// What it did instead.
    pub fn refusal(&self) -> Result<&str, String> {
        let mut lines = self.stderr.lines();
        match (self.code, lines.next().and_then(|line| line.strip_prefix("error: ")), lines.next()) {
            (Some(1), Some(sentence), None) if self.stdout.is_empty() && !sentence.is_empty() => Ok(sentence),
            _ => Err(format!("not a refusal in one line: {self:?}")),
        }
    }
}
