//! Files that are written whole or not at all.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// A file in the making beside the place it is for, so that a place that cannot be written is known before the work is done.
pub struct Output {
    part: NamedTempFile,
    place: PathBuf,
}

impl Output {
    /// Begins the file of this path, behind a link where it is one. Fails where it is no regular file, is `input` itself, or its folder
    /// cannot be written.
    pub fn beside(path: &Path, input: Option<&Path>) -> Result<Self> {
        let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if place.exists() && !place.is_file() {
            bail!("{} is not a regular file: name another output", path.display());
        }
        if input.is_some_and(|input| input.canonicalize().is_ok_and(|input| input == place)) {
            bail!("{} is the input itself: name another output", path.display());
        }
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            // A temporary file is private; a finished one gets the permissions that any new file gets.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let part = builder.tempfile_in(folder).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { part, place })
    }

    /// Writes all bytes and gives the file its name. Fails as the system does; then what was there before still is.
    pub fn finish(mut self, bytes: &[u8]) -> Result<()> {
        let place = self.place;
        self.part.write_all(bytes).with_context(|| format!("{} cannot be written", place.display()))?;
        self.part.persist(&place).with_context(|| format!("{} cannot be written", place.display()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (input, place) = (folder.path().join("in"), folder.path().join("out"));
        fs::write(&input, "input").expect("it can be written");
        fs::write(&place, "before").expect("it can be written");
        let names = || fs::read_dir(folder.path()).expect("it can be read").count();

        drop(Output::beside(&place, Some(&input)).expect("it can be begun"));
        assert_eq!((fs::read(&place).ok(), names()), (Some(b"before".to_vec()), 2));
        Output::beside(&place, Some(&input)).and_then(|output| output.finish(b"after")).expect("it can be written");
        assert_eq!((fs::read(&place).ok(), names()), (Some(b"after".to_vec()), 2));

        for (path, reason) in [
            (input.clone(), "the input itself"),
            (folder.path().to_owned(), "not a regular file"),
            (folder.path().join("nowhere/out"), "cannot be written"),
        ] {
            let error = Output::beside(&path, Some(&input)).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(reason) && error.starts_with(&path.display().to_string()), "{error}");
        }
        assert_eq!((fs::read(&input).ok(), names()), (Some(b"input".to_vec()), 2));
    }
}
