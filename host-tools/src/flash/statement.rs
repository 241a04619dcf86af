//! The statement of board and features in a firmware: the section `.attoformer` of its ELF file, which is not loaded.
//!
//! ```text
//! board=pico
//! features=bpe,int8,kv-int8
//! ```

/// Board and features of a firmware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Name of the board.
    pub board: Option<String>,
    /// Cargo features of the engine that are built in.
    pub features: Option<Vec<String>>,
}

impl Statement {
    /// Reads the lines of a section; lines that it does not know are left to later versions.
    pub fn parse(section: &[u8]) -> Self {
        let text = String::from_utf8_lossy(section);
        let value = |key: &str| text.lines().find_map(|line| line.trim_end_matches('\0').strip_prefix(key)?.strip_prefix('='));
        let list = |value: &str| value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Statement { board: value("board").map(|name| name.trim().to_owned()), features: value("features").map(list) }
    }
}

#[cfg(test)]
mod tests {
    use super::Statement;

    #[test]
    fn a_statement_is_read_line_by_line() {
        let stated = Statement::parse(b"board=pico\nengine=0.2\nfeatures=bpe,int8\n\0\0");
        assert_eq!(stated.board.as_deref(), Some("pico"));
        assert_eq!(stated.features, Some(vec!["bpe".to_owned(), "int8".to_owned()]));
        assert_eq!(Statement::parse(b"\xff\xfeboards=x\n"), Statement::default());
        assert_eq!(Statement::parse(b"features=\n").features, Some(Vec::new()));
    }
}
