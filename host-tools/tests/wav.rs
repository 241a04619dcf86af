//! WAV files: decoded samples of every encoding, and one-line errors. Files are built byte by byte here, not by the crate that reads them.

use std::path::PathBuf;

use attoformer_tools::run::audio::read_wav;
use tempfile::TempDir;

const INTEGERS: u16 = 1;
const FLOATS: u16 = 3;

/// Bytes of a file: the 44-byte header, then the data.
fn wav(format: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = channels * bits.div_ceil(8);
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(format.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate.wrapping_mul(u32::from(block))).to_le_bytes());
    file.extend(block.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("clip.wav");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn read(&self, bytes: &[u8]) -> Result<Vec<f32>, String> {
        read_wav(&self.file(bytes), 16000).map_err(|error| error.to_string())
    }

    /// The one-line error for a file, which names it.
    fn refusal(&self, bytes: &[u8]) -> String {
        let sentence = self.read(bytes).expect_err("the file should be refused");
        assert!(sentence.contains("clip.wav: ") && !sentence.contains('\n'), "{sentence}");
        sentence
    }
}

#[test]
fn sixteen_bits_are_a_fraction_of_32768_exactly() {
    let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let found = Folder::new().read(&wav(INTEGERS, 1, 16000, 16, &data)).unwrap();
    assert!(found.iter().zip(&samples).all(|(found, &sample)| f64::from(*found) == f64::from(sample) / 32768.0));
    assert_eq!(found.len(), 65536);
}

/// A chunk of odd length is followed by a padding byte that its length does not include (RIFF, 1991).
#[test]
fn chunks_before_the_data_are_skipped() {
    let sound = wav(INTEGERS, 1, 16000, 8, &[192, 0, 128]);
    for chunk in [&b"LIST\x03\0\0\0abc\0"[..], b"LIST\x04\0\0\0abcd", b"odd \x01\0\0\0a\0LIST\x02\0\0\0ab"] {
        for at in [12, 36] {
            let file = [&sound[..at], chunk, &sound[at..]].concat();
            assert_eq!(Folder::new().read(&file), Ok(vec![0.5, -1.0, 0.0]), "{chunk:?} at {at}");
        }
    }
}

#[test]
fn every_width_has_the_same_scale() {
    let folder = Folder::new();
    let half_24 = [[0, 0, 0x40], [0, 0, 0x80], [0, 0, 0]].concat();
    let half_32: Vec<u8> = [1i32 << 30, i32::MIN, 0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let floats: Vec<u8> = [0.5f32, -1.0, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let want = Ok(vec![0.5, -1.0, 0.0]);
    // Eight-bit samples are unsigned: 128 is silence.
    assert_eq!(folder.read(&wav(INTEGERS, 1, 16000, 8, &[192, 0, 128])), want);
    assert_eq!(folder.read(&wav(INTEGERS, 1, 16000, 24, &half_24)), want);
    assert_eq!(folder.read(&wav(INTEGERS, 1, 16000, 32, &half_32)), want);
    assert_eq!(folder.read(&wav(FLOATS, 1, 16000, 32, &floats)), want);
}

#[test]
fn channels_are_mixed_and_rates_converted() {
    let folder = Folder::new();
    let data: Vec<u8> = [16384i16, 0, -16384, -16384].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(folder.read(&wav(INTEGERS, 2, 16000, 16, &data)), Ok(vec![0.25, -0.5]));
    let long: Vec<u8> = [8192i16; 4410].iter().flat_map(|x| x.to_le_bytes()).collect();
    let resampled = folder.read(&wav(INTEGERS, 1, 44100, 16, &long)).unwrap();
    assert_eq!(resampled.len(), 1600);
    assert!(resampled[200..1400].iter().all(|x| (x - 0.25).abs() < 1e-4));
}

#[test]
fn unreadable_files_are_refused_in_one_line() {
    let folder = Folder::new();
    let good = wav(INTEGERS, 1, 16000, 16, &[0; 64]);
    assert!(folder.refusal(&[]).contains("empty"));
    assert!(folder.refusal(b"ID3 this is a song").contains("not a readable WAV file"));
    assert!(folder.refusal(&good[..20]).contains("ends within its header"));
    assert!(folder.refusal(&good[..44]).contains("states 32 samples, the file has fewer"));
    assert!(folder.refusal(&good[..90]).contains("copy or convert it again"));
    assert!(folder.refusal(&wav(INTEGERS, 1, 16000, 16, &[])).contains("no audio samples"));
    assert!(folder.refusal(&wav(INTEGERS, 1, 0, 16, &[0; 4])).contains("0 samples per second"));
    // Upsampling from 1 Hz to 16 kHz would take gigabytes.
    assert!(folder.refusal(&wav(INTEGERS, 1, 1, 16, &[0; 1 << 20])).contains("1 samples per second, which is not audio"));
    assert!(folder.refusal(&wav(FLOATS, 1, 16000, 64, &[0; 8])).contains("convert it first, for example with `sox IN -b 16 OUT`"));
    assert!(folder.refusal(&wav(INTEGERS, 1, 767_999, 16, &[0; 4])).contains("sox IN -r 16000 OUT"));
    assert!(folder.refusal(&wav(INTEGERS, 0, 16000, 16, &[0; 4])).contains("WAV"));
    // A-law.
    assert!(folder.refusal(&wav(6, 1, 8000, 8, &[0; 4])).contains("not a readable WAV file"));
    assert!(folder.refusal(&wav(FLOATS, 1, 16000, 32, &f32::NAN.to_le_bytes())).contains("sample 0 is NaN"));
    let gone = read_wav(&folder.0.path().join("gone.wav"), 16000).unwrap_err().to_string();
    assert!(gone.contains("gone.wav: no such file"), "{gone}");
    let directory = read_wav(folder.0.path(), 16000).unwrap_err().to_string();
    assert!(directory.contains("directory"), "{directory}");
}

/// Headers with every byte and pair of bytes altered are read or refused without a panic.
#[test]
fn damaged_headers_never_panic() {
    let folder = Folder::new();
    for (format, bits) in [(INTEGERS, 8), (INTEGERS, 16), (INTEGERS, 24), (FLOATS, 32)] {
        let good = wav(format, 2, 16000, bits, &[3; 96]);
        for at in 0..44 {
            for value in [0, 1, 2, 3, 7, 0x7f, 0x80, 0xfe, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = folder.read(&bad);
                bad[(at * 7 + usize::from(value)) % 44] ^= value.rotate_left(3);
                let _ = folder.read(&bad);
            }
        }
    }
}
