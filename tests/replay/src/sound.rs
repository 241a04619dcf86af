//! A clip that every target generates for itself, and the hash of its features.

use attoformer::frontend::{Frames, Frontend, Samples};
use attoformer::{Error, OutputHash};

use crate::Aligned;

/// A triangle wave that rises from 50 Hz to 7.4 kHz (at 16 kHz) with growing amplitude, noise, and digital silence between them, computed in integers.
/// `tests/golden/sound.py` generates the same samples.
pub fn sound(count: usize, seed: u32) -> Vec<i16> {
    let (mut state, mut phase) = (seed, 0);
    let whole = count as i64;
    let sample = |n: i64| {
        phase = (phase + 205 + 30_000 * n / whole) & 0xffff;
        let level = 512 * n.min(whole - n) / whole;
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let noise = i64::from(state >> 16) - 32_768;
        let value = ((((phase - 32_768).abs() - 16_384) * level) >> 8) + (noise >> 5);
        if (45 * whole..60 * whole).contains(&(100 * n)) { 0 } else { value as i16 }
    };
    (0..whole).map(sample).collect()
}

/// Hash of the features of a generated clip; streaming the clip in chunks gives the same hash.
///
/// # Errors
/// The engine's errors about the section.
pub fn features_hash(section: &[u8]) -> Result<u32, Error> {
    let mut copy = Aligned::zeroed(section.len());
    copy.bytes().copy_from_slice(section);
    let frontend = Frontend::new(copy.bytes())?;
    let sound = sound(frontend.samples(), 4);
    let whole = clip_hash(&frontend, &sound[..])?;
    match stream_hash(&frontend, &sound) {
        // Only some front ends can stream; those must agree.
        Err(Error::Architecture { .. }) => Ok(whole),
        Ok(pieces) if pieces == whole => Ok(whole),
        Ok(found) => Err(Error::SelfTest { expected: whole, found }),
        Err(error) => Err(error),
    }
}

fn clip_hash<S: Samples + ?Sized>(frontend: &Frontend<'_>, sound: &S) -> Result<u32, Error> {
    let mut rows = vec![0.0; frontend.rows() * frontend.features()];
    frontend.clip(sound, &mut vec![0.0; frontend.scratch_len()], &mut rows)?;
    let mut hash = OutputHash::new();
    hash.logits(&rows);
    Ok(hash.value())
}

fn stream_hash(frontend: &Frontend<'_>, sound: &[i16]) -> Result<u32, Error> {
    let mut buffer = vec![0.0; Frames::buffer_len(frontend)];
    let mut frames = Frames::new(*frontend, &mut buffer)?;
    let mut hash = OutputHash::new();
    for piece in sound.chunks(37) {
        frames.push(piece, |row| hash.logits(row));
    }
    Ok(hash.value())
}
