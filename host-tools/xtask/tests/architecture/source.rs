//! A small reader of Rust source: enough to find modules, imports and function signatures.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The source folder of one crate.
pub struct Crate {
    /// Each file by its module path; the crate's root is the empty path.
    pub files: BTreeMap<Vec<String>, SourceFile>,
}

/// One file, without comments, literals and test modules.
pub struct SourceFile {
    /// Path from the crate's `src` folder.
    pub path: PathBuf,
    /// Lines of the whole file.
    pub lines: usize,
    /// Identifiers and punctuation.
    pub tokens: Vec<String>,
}

impl Crate {
    /// Reads every file below `src`.
    pub fn read(src: &Path) -> Self {
        let mut files = BTreeMap::new();
        read_folder(src, src, &mut files);
        assert!(!files.is_empty(), "{} holds no Rust files", src.display());
        Self { files }
    }

    /// The module path of the file that declares `path`: its longest prefix that is a file.
    fn owner<'a>(&self, path: &'a [String]) -> &'a [String] {
        (0..=path.len()).rev().map(|length| &path[..length]).find(|prefix| self.files.contains_key(*prefix)).unwrap_or_default()
    }

    /// For each file the files whose items its `use` declarations name.
    pub fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        let name = |path: &[String]| self.files[path].path.display().to_string();
        let mut graph = BTreeMap::new();
        for (module, file) in &self.files {
            let mut targets = BTreeSet::new();
            for path in file.imported_paths(module) {
                let owner = self.owner(&path);
                if owner != module.as_slice() {
                    targets.insert(name(owner));
                }
            }
            graph.insert(name(module), targets);
        }
        graph
    }
}

impl SourceFile {
    /// Absolute paths (without `crate`) of this crate's items that the file names from `crate`, `super` or `self`, in `use` declarations and elsewhere.
    fn imported_paths(&self, module: &[String]) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        // Modules written inside the file, with the depth of the braces around them.
        let (mut inner, mut depth) = (Vec::<(String, usize)>::new(), 0);
        let tokens: Vec<&str> = self.tokens.iter().map(String::as_str).collect();
        let mut at = 0;
        while at < tokens.len() {
            let here: Vec<String> = module.iter().cloned().chain(inner.iter().map(|(name, _)| name.clone())).collect();
            match &tokens[at..] {
                ["mod", name, "{", ..] => {
                    inner.push(((*name).to_owned(), depth));
                    depth += 1;
                    at += 2;
                }
                ["{", ..] => depth += 1,
                ["}", ..] => {
                    depth = depth.saturating_sub(1);
                    inner.pop_if(|(_, outside)| *outside == depth);
                }
                ["use", next, ..] if *next != "<" => {
                    let end = tokens[at..].iter().position(|token| *token == ";").map_or(tokens.len(), |length| at + length);
                    let mut leaves = Vec::new();
                    use_tree(&tokens[at + 1..end], &mut 0, &[], &mut leaves);
                    found.extend(leaves.iter().filter_map(|leaf| absolute(&here, leaf)));
                    at = end;
                }
                // `pub(in crate::a)` and `$crate::a` import nothing.
                ["in" | "$", "crate", ..] => at += 1,
                ["crate" | "super" | "self", "::", ..] => {
                    let segments = tokens[at..].chunks(2).take_while(|pair| is_name(pair[0])).map(|pair| pair.to_vec());
                    let mut path = Vec::new();
                    for pair in segments {
                        path.push(pair[0].to_owned());
                        at += 1;
                        if pair.get(1) != Some(&"::") {
                            break;
                        }
                        at += 1;
                    }
                    found.extend(absolute(&here, &path));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        found
    }

    /// Names of `pub fn` and `pub const fn`.
    pub fn public_functions(&self) -> impl Iterator<Item = &str> {
        let name = |window: &[String]| match [&*window[0], &*window[1], &*window[2]] {
            ["pub", "fn", _] => Some(2),
            ["pub", "const", "fn"] => Some(3),
            _ => None,
        };
        self.tokens.windows(4).filter_map(move |window| name(window).map(|at| &*window[at]))
    }

    /// Functions with more than `limit` parameters, as name and count; `self` counts.
    pub fn wide_functions(&self, limit: usize) -> Vec<(String, usize)> {
        let tokens: Vec<&str> = self.tokens.iter().map(String::as_str).collect();
        let mut wide = Vec::new();
        for at in 0..tokens.len() {
            if let ["fn", name, open, ..] = &tokens[at..]
                && matches!(*open, "(" | "<")
            {
                let count = parameters(&tokens[at + 2..]);
                if count > limit {
                    wide.push(((*name).to_owned(), count));
                }
            }
        }
        wide
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Parameters of the signature that begins at its generics or its parenthesis.
fn parameters(tokens: &[&str]) -> usize {
    let mut at = 0;
    if tokens.first() == Some(&"<") {
        let mut angles = 0_i32;
        for (index, token) in tokens.iter().enumerate() {
            match *token {
                "<" => angles += 1,
                ">" => angles -= 1,
                _ => {}
            }
            if angles == 0 {
                at = index + 1;
                break;
            }
        }
    }
    let (mut depth, mut count, mut pending) = (0_i32, 0, false);
    for token in &tokens[at..] {
        match *token {
            "(" | "[" | "<" | "{" => depth += 1,
            ")" | "]" | ">" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        match *token {
            "," if depth == 1 => pending = false,
            "(" if depth == 1 => {}
            _ if !pending => {
                pending = true;
                count += 1;
            }
            _ => {}
        }
    }
    count
}

/// Collects the leaves of a use tree, each as its segments.
fn use_tree(tokens: &[&str], at: &mut usize, prefix: &[String], leaves: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    while *at < tokens.len() {
        match tokens[*at] {
            "{" => {
                *at += 1;
                while *at < tokens.len() && tokens[*at] != "}" {
                    use_tree(tokens, at, &path, leaves);
                    if tokens.get(*at) == Some(&",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "," | "}" => break,
            "as" => *at += 2,
            "::" => *at += 1,
            "self" if !path.is_empty() => *at += 1,
            segment => {
                path.push(segment.to_owned());
                *at += 1;
            }
        }
    }
    leaves.push(path);
}

/// A path as written in `module`, from the crate's root; `None` for other crates.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let join = |base: &[String], rest: &[String]| base.iter().chain(rest).cloned().collect::<Vec<_>>();
    let first = path.first()?;
    match first.as_str() {
        "crate" | "attoformer_tools" => Some(path[1..].to_vec()),
        "self" => Some(join(module, &path[1..])),
        "super" => {
            let up = path.iter().take_while(|segment| *segment == "super").count();
            Some(join(&module[..module.len().checked_sub(up)?], &path[up..]))
        }
        // Another crate, or a child module by its name alone: a module may re-export its children, which use its items.
        _ => None,
    }
}

fn read_folder(src: &Path, folder: &Path, files: &mut BTreeMap<Vec<String>, SourceFile>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.map(|entry| entry.expect("a directory entry").path()) {
        if entry.is_dir() {
            read_folder(src, &entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let path = entry.strip_prefix(src).expect("a file below src").to_owned();
            let mut module: Vec<String> = path.with_extension("").iter().map(|segment| segment.to_string_lossy().into_owned()).collect();
            if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
                module.pop();
            }
            let text = fs::read_to_string(&entry).unwrap_or_else(|error| panic!("{}: {error}", entry.display()));
            let tokens = without_tests(tokenize(&text));
            files.insert(module, SourceFile { path, lines: text.lines().count(), tokens });
        }
    }
}

/// Identifiers and punctuation of a file; comments and literals are left out.
fn tokenize(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < characters.len() {
        let c = characters[at];
        let next = characters.get(at + 1).copied().unwrap_or(' ');
        if c == '/' && next == '/' {
            while at < characters.len() && characters[at] != '\n' {
                at += 1;
            }
        } else if c == '/' && next == '*' {
            let mut depth = 0;
            loop {
                match (characters.get(at), characters.get(at + 1)) {
                    (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
                    (Some('*'), Some('/')) => (depth, at) = (depth - 1, at + 2),
                    (Some(_), _) => at += 1,
                    (None, _) => break,
                }
                if depth == 0 {
                    break;
                }
            }
        } else if c == '"' {
            at = after_string(&characters, at);
        } else if c == '\'' {
            // A character literal, or a lifetime.
            let literal = next == '\\' || characters.get(at + 2) == Some(&'\'');
            at += if literal { 2 } else { 1 };
            if literal {
                at += usize::from(next == '\\');
                while at < characters.len() && characters[at] != '\'' {
                    at += 1;
                }
                at += 1;
            } else {
                while at < characters.len() && is_word(characters[at]) {
                    at += 1;
                }
            }
        } else if is_word(c) {
            let start = at;
            while at < characters.len() && is_word(characters[at]) {
                at += 1;
            }
            let word: String = characters[start..at].iter().collect();
            match characters.get(at) {
                Some('"') if matches!(word.as_str(), "b" | "c") => at = after_string(&characters, at),
                Some('"' | '#') if matches!(word.as_str(), "r" | "br" | "cr") => at = after_raw_string(&characters, at),
                _ => tokens.push(word),
            }
        } else {
            if c == ':' && next == ':' {
                tokens.push("::".to_owned());
                at += 1;
            } else if matches!(c, '-' | '=') && next == '>' {
                at += 1;
            } else if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// The place after the string that begins at `at`.
fn after_string(characters: &[char], mut at: usize) -> usize {
    at += 1;
    while at < characters.len() && characters[at] != '"' {
        at += if characters[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The place after the raw string whose hashes or quote begin at `at`.
fn after_raw_string(characters: &[char], mut at: usize) -> usize {
    let hashes = characters[at..].iter().take_while(|c| **c == '#').count();
    at += hashes;
    if characters.get(at) != Some(&'"') {
        return at;
    }
    at += 1;
    while at < characters.len() {
        let closes = characters[at] == '"' && characters[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        at += 1;
        if closes {
            return at + hashes;
        }
    }
    at
}

/// Leaves out what is compiled for tests only: the item after `#[cfg(test)]`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let is_marker = |at: usize| tokens[at..].iter().map(String::as_str).take(7).eq(["#", "[", "cfg", "(", "test", ")", "]"]);
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if !is_marker(at) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += 7;
        let mut depth = 0;
        while at < tokens.len() {
            match tokens[at].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 && matches!(tokens[at - 1].as_str(), "}" | ";") {
                break;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SourceFile {
        SourceFile { path: PathBuf::new(), lines: text.lines().count(), tokens: without_tests(tokenize(text)) }
    }

    fn path(text: &str) -> Vec<String> {
        text.split("::").filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn use_declarations_resolve_to_absolute_paths() {
        let text = "
            use core::fmt; // use crate::comment;
            use crate::{a::{self, B}, c as d};
            pub use child::Item;
            mod child;
            mod inner { use super::super::up; }
            fn f() -> impl Sized + use<'static> { let s = \"use crate::string;\"; 'x'; use self::g; crate::p::q(1) }
            pub(in crate::visible) struct S;
            #[cfg(test)]
            mod tests { use crate::only_in_tests; }
        ";
        let found = file(text).imported_paths(&path("m"));
        assert_eq!(found, ["a", "a::B", "c", "up", "m::g", "p::q"].map(path));
    }

    #[test]
    fn parameters_are_counted_through_generics_and_closures() {
        let text =
            "fn one<T: Fn(u8, u8) -> u8, const N: usize>(a: (T, T)) {} fn none() {} fn three(&self, a: Vec<(u8, u8)>, b: [u8; 2],) {}";
        let found = file(text).wide_functions(0);
        assert_eq!(found, [("one".to_owned(), 1), ("three".to_owned(), 3)]);
    }
}
