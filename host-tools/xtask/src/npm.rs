//! npm packages of a folder of the repository, installed in `target/tools`: the source tree stays as it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::process::{is_installed as runs, root, run, tools};

/// Files that determine the packages.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];
/// A copy of the last installed lock file.
const DONE: &str = "installed.json";

/// Folder of the installed packages: `target/tools/boards` for `tests/boards`.
fn target(folder: &str) -> PathBuf {
    tools().join(Path::new(folder).file_name().unwrap_or_default())
}

/// Whether the packages that the folder's lock file names are installed.
pub fn is_installed(folder: &str) -> bool {
    let wanted = fs::read(root().join(folder).join(FILES[1])).ok();
    wanted.is_some() && fs::read(target(folder).join(DONE)).ok() == wanted
}

/// Installs the packages that the folder's lock file names.
///
/// # Errors
/// Node.js or npm is not installed, or npm fails.
pub fn install(folder: &str) -> Result<()> {
    for program in ["node", "npm"] {
        if !runs(program) {
            bail!("{program} is not installed: install Node.js 18 or newer, with npm");
        }
    }
    let to = target(folder);
    fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    for name in FILES {
        let from = root().join(folder).join(name);
        fs::copy(&from, to.join(name)).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    run(Command::new("npm").current_dir(&to).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
    fs::copy(to.join(FILES[1]), to.join(DONE)).with_context(|| format!("cannot write {}", to.join(DONE).display()))?;
    Ok(())
}
