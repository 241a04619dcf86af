//! Runs other programs; errors name the command.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

/// Root folder of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Folder of the cargo subcommands that `cargo xtask setup` installs.
pub fn tools() -> PathBuf {
    root().join("target/tools")
}

/// Programs of each cargo subcommand in [`tools`]. Each has a folder of its own: pip replaces the folder `bin` of a shared one.
fn tool_folders() -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(tools()).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("bin"))
}

/// The cargo that started this program. It finds the subcommands in [`tools`] after those of the `PATH`.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(tool_folders());
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
}

/// The command as a person would type it.
pub fn spelled(command: &Command) -> String {
    let quote = |word: &OsStr| {
        let word = word.to_string_lossy();
        if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }
    };
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program).chain(command.get_args()).map(quote).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end. Its standard output is redirected to standard error.
///
/// # Errors
/// The command cannot be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status =
        command.stdin(Stdio::null()).stdout(std::io::stderr()).status().with_context(|| format!("cannot start `{}`", spelled(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", spelled(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output.
///
/// # Errors
/// The command cannot be started or fails; the error then quotes its standard error.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!("`{}` failed ({}): {}", spelled(command), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command and returns all its output, whether it succeeded or not.
pub fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", spelled(command)))
}

/// Whether a program of this name, in the `PATH` or in [`tools`], runs.
pub fn is_installed(program: &str) -> bool {
    let runs = |program: &Path| {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    runs(Path::new(program)) || tool_folders().any(|folder| runs(&folder.join(program)))
}
