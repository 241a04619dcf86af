//! Writes NumPy files (format 1.0, f32, C order) and files of raw little-endian f32.

use std::io::{self, Seek, SeekFrom, Write};

/// A file of rows of f32, written row by row: a NumPy file, or raw little-endian values without a header.
pub struct RowFile<W> {
    out: W,
    columns: usize,
    rows: usize,
    npy: bool,
}

impl<W: Write + Seek> RowFile<W> {
    /// Starts a file at the beginning of `out`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(mut out: W, columns: usize, npy: bool) -> io::Result<Self> {
        if npy {
            out.write_all(&npy_header(&[0, columns]))?;
        }
        Ok(RowFile { out, columns, rows: 0, npy })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn push(&mut self, row: &[f32]) -> io::Result<()> {
        debug_assert_eq!(row.len(), self.columns);
        self.rows += 1;
        row.iter().try_for_each(|value| self.out.write_all(&value.to_le_bytes()))
    }

    /// Writes the final number of rows into the NumPy header.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<()> {
        if self.npy {
            self.out.seek(SeekFrom::Start(0))?;
            self.out.write_all(&npy_header(&[self.rows, self.columns]))?;
        }
        Ok(())
    }
}

/// The header of a NumPy file; its length is the same for every shape.
fn npy_header(shape: &[usize]) -> Vec<u8> {
    const BEFORE_HEADER: usize = 10;
    const LEN: usize = 128;
    // A Python tuple of one element keeps its comma.
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(((LEN - BEFORE_HEADER) as u16).to_le_bytes());
    bytes.extend(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}{comma}), }}", sizes.join(", ")).into_bytes());
    bytes.resize(LEN - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Writes a whole array as a NumPy file.
///
/// # Errors
/// Those of the writer.
pub fn write_npy(out: &mut impl Write, shape: &[usize], mut values: impl Iterator<Item = f32>) -> io::Result<()> {
    out.write_all(&npy_header(shape))?;
    values.try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::RowFile;
    use std::io::Cursor;

    /// The format requires the header to end with a line feed at a multiple of 64.
    #[test]
    fn npy_files_have_an_aligned_header() {
        let mut bytes = Vec::new();
        let mut file = RowFile::new(Cursor::new(&mut bytes), 3, true).unwrap();
        file.push(&[1.0, 2.0, 3.0]).unwrap();
        file.push(&[4.0, 5.0, 6.5]).unwrap();
        file.finish().unwrap();
        let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
        assert!((10 + header).is_multiple_of(64) && bytes[9 + header] == b'\n');
        let text = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
        assert!(text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
        assert_eq!(bytes[10 + header..][20..], 6.5f32.to_le_bytes());
    }
}
