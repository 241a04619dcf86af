//! Links and file names in the documentation point at files that exist.

use std::path::Path;

use xtask::process::{capture, root};

/// First folders of paths that documentation names in code font.
const FOLDERS: [&str; 6] = ["core/", "docs/", "firmware/", "host-tools/", "models/", "tests/"];

/// All Markdown files of the repository with their text.
fn pages() -> Vec<(String, String)> {
    let names = capture(std::process::Command::new("git").current_dir(root()).args(["ls-files", "*.md"])).expect("a git checkout");
    names.lines().map(|name| (name.to_owned(), std::fs::read_to_string(root().join(name)).expect("a text"))).collect()
}

/// Targets of Markdown links and pictures.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// Paths in code font.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let is_path = |word: &&str| FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains(['*', '<', ' ', '\n']);
    text.split('`').skip(1).step_by(2).filter(is_path)
}

/// The anchor of a heading: lower case, spaces become hyphens, punctuation is left out.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_matches(['#', ' ']).chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_and_file_names_in_the_documentation_exist() {
    let mut missing = Vec::new();
    for (name, text) in pages() {
        let here = root().join(&name);
        let folder = here.parent().unwrap_or(Path::new(""));
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { here.clone() } else { folder.join(file) };
            let has_heading = || {
                let text = std::fs::read_to_string(&target).unwrap_or_default();
                text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)
            };
            if !target.exists() || !(heading.is_empty() || has_heading()) {
                missing.push(format!("{name}: {link}"));
            }
        }
        // The changelog names files of the past.
        let paths = paths(&text).filter(|_| name != "CHANGELOG.md");
        missing.extend(paths.filter(|path| !root().join(path).exists()).map(|path| format!("{name}: {path}")));
    }
    assert!(missing.is_empty(), "documentation names files that do not exist:\n{}", missing.join("\n"));
}
