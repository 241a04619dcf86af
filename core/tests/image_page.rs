//! `docs/image.md` and the code state the same bytes.

use attoformer::internals::format::header::{FIELDS, RESERVED, required};
use attoformer::internals::format::{ENTRY_BYTES, HEADER_BYTES, ROLES, section};

const PAGE: &str = include_str!("../../docs/image.md");

/// Rows of the first table after a heading, cell by cell.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let start = PAGE.find(heading).unwrap_or_else(|| panic!("the page has no heading {heading}"));
    let lines = PAGE[start..].lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    lines.take_while(|line| line.starts_with('|')).map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_header_table_has_every_field_at_its_offset() {
    let page: Vec<(usize, &str)> = table("## Header").iter().map(|row| (row[0].parse().unwrap(), row[1])).collect();
    let code: Vec<(usize, &str)> = FIELDS.iter().map(|&(at, kind, _)| (at, kind)).collect();
    assert_eq!(page, code);
}

#[test]
fn fields_and_reserved_bytes_fill_the_header() {
    let bytes = |kind: &str| match kind {
        "u8" => 1,
        "u16" => 2,
        "u32" | "f32" | "4 bytes" => 4,
        "16 x 16 bytes" => 256,
        other => panic!("{other}"),
    };
    let mut end = 0;
    for &(at, kind, name) in FIELDS {
        assert!(at == end || (end..at) == RESERVED, "{name} begins at {at}, the field before it ends at {end}");
        end = at + bytes(kind);
    }
    assert_eq!(end, HEADER_BYTES);
}

#[test]
fn the_required_bits_are_listed() {
    let page: Vec<u32> = table("### Required bits").iter().map(|row| 1 << row[0].parse::<u32>().unwrap()).collect();
    use required::{END_TOKENS, HEAD_ROWS, KEY_OFFSET, LAYER_ROTARY, LAYER_WINDOWS, REGIONS};
    assert_eq!(page, [KEY_OFFSET, HEAD_ROWS, END_TOKENS, LAYER_WINDOWS, LAYER_ROTARY, REGIONS]);
    assert_eq!(required::KNOWN, KEY_OFFSET);
}

#[test]
fn the_section_table_has_every_kind() {
    let start = PAGE.find("A row of the section table").unwrap();
    let kinds: Vec<u32> = PAGE[start..]
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').next().unwrap().trim().parse().unwrap())
        .collect();
    assert_eq!(kinds, (1..=section::NAMED_MAX).collect::<Vec<_>>());
    assert_eq!(section::SIGNATURE, 8);
}

#[test]
fn the_directory_table_has_every_role_and_ends_within_an_entry() {
    let rows = table("## Directory");
    let roles = rows[0][2].strip_prefix("role: ").unwrap();
    let stated: Vec<(u16, &str)> = roles
        .split(", ")
        .map(|role| {
            let (number, name) = role.split_once(' ').unwrap();
            (number.parse().unwrap(), name.split(' ').next().unwrap())
        })
        .collect();
    let code: Vec<(u16, &str)> = ROLES.iter().map(|&role| (role as u16, role.name())).collect();
    assert_eq!(stated, code);
    let last: usize = rows.last().unwrap()[0].parse().unwrap();
    assert!(last + 4 <= ENTRY_BYTES);
}
