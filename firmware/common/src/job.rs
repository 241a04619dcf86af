//! The job block.

use attoformer_protocol::{JOB_HEADER, JOB_MAGIC, Job, MAX_JOB, source_at};

use crate::memory;

/// Reads the job that the host put into memory, and the bytes behind it.
pub fn read() -> Result<(Job<'static>, &'static [u8]), &'static str> {
    let block = memory::job_block();
    let (magic, rest) = block.split_first_chunk().ok_or("the job region is too small")?;
    if *magic != JOB_MAGIC {
        return Err("there is no job block in memory: give one with -device loader");
    }
    let (length, _) = rest.split_first_chunk().ok_or("the job region is too small")?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_JOB - JOB_HEADER {
        return Err("the job block states an impossible length");
    }
    let body = block.get(JOB_HEADER..JOB_HEADER + length).ok_or("the job block is cut")?;
    let job: Job<'_> =
        postcard::from_bytes(body).map_err(|_| "the job block cannot be decoded: host and firmware are of different versions")?;
    let start = source_at(length);
    let source = block.get(start..start + job.source_bytes as usize).ok_or("the source behind the job is cut")?;
    Ok((job, source))
}
