//! Files that are written completely or not at all.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// A temporary file in the folder of its final path, so that a path that cannot be written is reported before the work is done.
pub struct Output {
    part: NamedTempFile,
    path: PathBuf,
}

impl Output {
    /// Creates the temporary file for `path`; a symbolic link is followed.
    ///
    /// # Errors
    /// The path exists and is not a regular file, is `input` itself, or its folder cannot be written.
    pub fn create(path: &Path, input: Option<&Path>) -> Result<Self> {
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if target.exists() && !target.is_file() {
            bail!("{} is not a regular file: name another output", path.display());
        }
        if input.is_some_and(|input| input.canonicalize().is_ok_and(|input| input == target)) {
            bail!("{} is the input itself: name another output", path.display());
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            // Temporary files are private by default; the finished file gets the permissions of any new file.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let part = builder.tempfile_in(folder).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { part, path: target })
    }

    /// Writes all bytes and renames the file to its path.
    ///
    /// # Errors
    /// The file system's; an existing file at the path is then unchanged.
    pub fn finish(mut self, bytes: &[u8]) -> Result<()> {
        let path = self.path;
        self.part.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))?;
        self.part.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_output_gets_its_name_when_it_is_complete() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (input, path) = (folder.path().join("in"), folder.path().join("out"));
        fs::write(&input, "input").expect("a file in a temporary folder");
        fs::write(&path, "before").expect("a file in a temporary folder");
        let names = || fs::read_dir(folder.path()).expect("a temporary folder").count();

        drop(Output::create(&path, Some(&input)).expect("a new output"));
        assert_eq!((fs::read(&path).ok(), names()), (Some(b"before".to_vec()), 2));
        Output::create(&path, Some(&input)).and_then(|output| output.finish(b"after")).expect("a complete output");
        assert_eq!((fs::read(&path).ok(), names()), (Some(b"after".to_vec()), 2));

        for (path, reason) in [
            (input.clone(), "the input itself"),
            (folder.path().to_owned(), "not a regular file"),
            (folder.path().join("nowhere/out"), "cannot write"),
        ] {
            let error = Output::create(&path, Some(&input)).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(reason) && error.contains(&path.display().to_string()), "{error}");
        }
        assert_eq!((fs::read(&input).ok(), names()), (Some(b"input".to_vec()), 2));
    }
}
