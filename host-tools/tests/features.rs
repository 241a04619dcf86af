//! Feature files: invalid files are refused with one line that names the file, and the line of a text.

use attoformer_tools::run::features::{read_csv, read_npy};
use std::fs::write;

/// A NumPy file with this header.
fn npy(header: &str, values: &[f32]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let header = format!("{header:<117}\n");
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[test]
fn numpy_files_are_read_or_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let of = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    write(&path, npy(&of("(2, 2)"), &[1.0, 2.0, 3.0, 4.0])).unwrap();
    assert_eq!(read_npy(&path, 2).unwrap(), [1.0, 2.0, 3.0, 4.0]);
    let deep = [b"\x93NUMPY\x02\x00".to_vec(), 90_000u32.to_le_bytes().to_vec(), b"{'descr': ".to_vec(), vec![b'['; 89_990]].concat();
    for (bytes, word) in [
        (npy(&of("(2, 3)"), &[1.0; 6]), "rows of 2"),
        (npy(&of("(1152921504606846975, 2)"), &[1.0; 6]), "x.npy: "),
        (npy(&of("(1000000000000, 2)"), &[1.0; 6]), "truncated: it has fewer values than its shape [1000000000000, 2] states"),
        (npy(&of("(2, 2)"), &[1.0; 3]), "truncated"),
        (npy(&of("(2, 2)").replace("<f4", "<f8"), &[1.0; 8]), "save x.astype(numpy.float32)"),
        (npy(&of("(2, 2)").replace("<f4", "|O"), &[1.0; 8]), "are not f32"),
        (npy(&of("(2, 2)").replace("False", "True"), &[1.0; 4]), "numpy.ascontiguousarray"),
        (npy(&of("(2, 2)"), &[1.0, f32::NAN, 0.0, 0.0]), "row 1, column 2 is NaN"),
        (npy(&of("(0, 2)"), &[]), "no rows"),
        (deep, "damaged"),
        (b"RIFF".to_vec(), "not a NumPy file"),
    ] {
        write(&path, bytes).unwrap();
        let said = read_npy(&path, 2).unwrap_err().to_string();
        assert!(said.contains("x.npy") && said.contains(word) && said.lines().count() == 1, "{word}: {said}");
    }
}

#[test]
fn csv_lines_are_read_or_refused_with_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    write(&path, "1, 2\n\n3,4\n").unwrap();
    assert_eq!(read_csv(&path, 2).unwrap(), [1.0, 2.0, 3.0, 4.0]);
    for (text, word) in [("1,2\n3\n", "line 2"), ("1,x\n", "\"x\" is not a number"), ("1,inf\n", "column 2 is inf"), ("\n", "no rows")] {
        write(&path, text).unwrap();
        let said = read_csv(&path, 2).unwrap_err().to_string();
        assert!(said.contains("x.csv") && said.contains(word), "{word}: {said}");
    }
}
