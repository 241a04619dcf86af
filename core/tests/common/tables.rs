//! Writes source files of tables.

use std::fmt::Write as _;

const COLUMNS: usize = 138;

/// Runs of neighboring characters with the same tag: first character, length, tag.
pub fn runs(keys: impl IntoIterator<Item = (char, u32)>, longest: u32) -> Vec<(u32, u32, u32)> {
    let mut all: Vec<(u32, u32, u32)> = Vec::new();
    for (character, tag) in keys {
        match all.last_mut() {
            Some(run) if run.0 + run.1 == character as u32 && run.1 < longest && run.2 == tag => run.1 += 1,
            _ => all.push((character as u32, 1, tag)),
        }
    }
    all
}

/// Appends a table to the source, and adds up its bytes.
pub fn put<T>(source: &mut String, bytes: &mut usize, doc: &str, (name, kind): (&str, &str), rows: &[T], show: impl Fn(&T) -> String) {
    *bytes += size_of_val(rows);
    write!(source, "\n/// {doc}\n#[rustfmt::skip]\npub(super) static {name}: [{kind}; {}] = [", rows.len()).unwrap();
    let mut column = COLUMNS;
    for row in rows {
        let row = show(row);
        if column + row.len() + 2 > COLUMNS {
            source.push_str("\n   ");
            column = 3;
        }
        column += row.len() + 2;
        write!(source, " {row},").unwrap();
    }
    source.push_str("\n];\n");
}
