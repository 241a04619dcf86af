//! The job block.

use attoformer_protocol::job::{JOB_HEADER, JOB_MAGIC, Job, MAX_JOB, source_at};

use crate::memory;

/// Reads the job that the host wrote into memory, and the source bytes after it.
pub fn read() -> Result<(Job<'static>, &'static [u8]), &'static str> {
    let block = memory::job_block();
    let (magic, rest) = block.split_first_chunk().ok_or("the job region is too small")?;
    if *magic != JOB_MAGIC {
        return Err("no job block in memory: load one with `-device loader`");
    }
    let (length, _) = rest.split_first_chunk().ok_or("the job region is too small")?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_JOB - JOB_HEADER {
        return Err("the job block states a length beyond its region");
    }
    let body = block.get(JOB_HEADER..JOB_HEADER + length).ok_or("the job block is truncated")?;
    let job: Job<'_> = postcard::from_bytes(body).map_err(|_| "cannot decode the job block: host and firmware have different versions")?;
    let start = source_at(length);
    let source = block.get(start..start + job.source_bytes as usize).ok_or("the source after the job is truncated")?;
    Ok((job, source))
}
