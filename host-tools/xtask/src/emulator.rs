//! Starts an emulated machine with an image and a job, and reads the frames that it sends.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use attoformer_protocol::job::{Frame, JOB_MAGIC, Job, MAX_FRAME, MAX_JOB, Task, source_at};

use crate::machines::Machine;

/// A machine that sends nothing for this long is stopped.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Runs `task` on the machine, with the bytes of its source, and passes every frame to `on_frame` as it arrives.
///
/// # Errors
/// The machine reports a failure, ends without an answer, or sends nothing for five minutes.
pub fn run(
    machine: &Machine,
    elf: &Path,
    image: Option<&Path>,
    source: &[u8],
    task: Task<'_>,
    mut on_frame: impl FnMut(&Frame<'_>) -> Result<()>,
) -> Result<()> {
    let image_bytes = image.map_or(Ok(0), |image| image_size(machine, image))?;
    let job = JobFile::write(&Job { source_bytes: source.len() as u32, image_at: machine.image_at, image_bytes, task }, source)?;
    let mut command = command(machine, elf, image, &job.0);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| cannot_start(machine))?;
    let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else { bail!("the emulator has no output stream") };
    let errors = thread::spawn(move || std::io::read_to_string(errors).unwrap_or_default());
    let child = Arc::new(Mutex::new(child));
    let watchdog = Watchdog::start(Arc::clone(&child));

    let result = read_frames(BufReader::new(output), |frame| {
        watchdog.alive();
        on_frame(frame)
    });
    if result.is_err() {
        kill(&child);
    }
    let silent = watchdog.stop();
    let status = child.lock().map_err(|_| anyhow::anyhow!("the emulator's watchdog crashed"))?.wait()?;
    let errors = errors.join().unwrap_or_default();
    if silent {
        bail!("{} sent nothing for {} seconds and was stopped", machine.name, TIMEOUT.as_secs());
    }
    match result? {
        End::Done if status.success() => Ok(()),
        End::Done => bail!("{}: the emulator ended with {status} after the answer", machine.name),
        // The engine's errors concern the image or the request, so the message names the image first.
        End::Failed(reason) => match image {
            Some(image) => bail!("{}: {reason} (on {})", image.display(), machine.name),
            None => bail!("{}: {reason}", machine.name),
        },
        End::Missing => bail!("{}: the emulator ended with {status} and without an answer. {}", machine.name, errors.trim()),
    }
}

/// Runs a program without the host protocol: its output is shown, and its exit status decides.
pub fn run_plain(machine: &Machine, elf: &Path) -> Result<()> {
    let status = bare(machine, elf).stdin(Stdio::null()).status().with_context(|| cannot_start(machine))?;
    if !status.success() {
        bail!("{}: the program ended with {status}", machine.name);
    }
    Ok(())
}

/// Runs a program without the host protocol and returns what it wrote to standard error.
pub fn capture_log(machine: &Machine, elf: &Path) -> Result<String> {
    let output = bare(machine, elf).stdin(Stdio::null()).output().with_context(|| cannot_start(machine))?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("{}: the program ended with {}. {}", machine.name, output.status, log.trim());
    }
    Ok(log)
}

fn cannot_start(machine: &Machine) -> String {
    format!("cannot start `{}`: install it with `cargo xtask setup`", machine.emulator)
}

/// The last frame of a stream.
enum End {
    Done,
    Failed(String),
    Missing,
}

fn read_frames(mut output: impl BufRead, mut on_frame: impl FnMut(&Frame<'_>) -> Result<()>) -> Result<End> {
    let mut end = End::Missing;
    let mut bytes = Vec::with_capacity(MAX_FRAME);
    loop {
        bytes.clear();
        if output.read_until(0, &mut bytes).context("cannot read the emulator's output")? == 0 {
            return Ok(end);
        }
        let frame = postcard::from_bytes_cobs(&mut bytes).context("the machine sent something that is not a frame")?;
        match frame {
            Frame::Done(_) | Frame::Calibrated { .. } => end = End::Done,
            Frame::Failed(reason) => end = End::Failed(reason.to_owned()),
            _ => {}
        }
        on_frame(&frame)?;
    }
}

/// The emulator with a program; semihosting carries its output, and virtual time counts instructions.
pub fn bare(machine: &Machine, elf: &Path) -> Command {
    let mut command = Command::new(machine.emulator);
    command.args(machine.select);
    command.args(["-display", "none", "-monitor", "none", "-serial", "none", "-icount", "shift=0"]);
    command.args(["-semihosting-config", "enable=on,target=native"]);
    command.arg("-kernel").arg(elf);
    command
}

fn command(machine: &Machine, elf: &Path, image: Option<&Path>, job: &Path) -> Command {
    let mut command = bare(machine, elf);
    command.arg("-device").arg(loader(job, machine.job_at));
    if let Some(image) = image {
        command.arg("-device").arg(loader(image, machine.image_at));
    }
    command
}

/// The option that loads a file's bytes at an address; a comma in a file name is doubled.
pub fn loader(file: &Path, address: u32) -> String {
    format!("loader,file={},addr={address:#x},force-raw=on", file.display().to_string().replace(',', ",,"))
}

fn image_size(machine: &Machine, image: &Path) -> Result<u32> {
    let metadata = fs::metadata(image).with_context(|| format!("cannot read {}", image.display()))?;
    if !metadata.is_file() {
        bail!("{} is not a file", image.display());
    }
    match u32::try_from(metadata.len()) {
        Ok(0) => bail!("{} is empty", image.display()),
        Ok(bytes) if bytes <= machine.image_limit => Ok(bytes),
        _ => bail!("{} has {} bytes, {} accepts at most {}", image.display(), metadata.len(), machine.name, machine.image_limit),
    }
}

/// A job block in a file that is deleted with this value.
struct JobFile(PathBuf);

impl JobFile {
    fn write(job: &Job<'_>, source: &[u8]) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let body = postcard::to_allocvec(job).context("cannot encode the job")?;
        let mut block = [&JOB_MAGIC[..], &(body.len() as u32).to_le_bytes(), &body].concat();
        block.resize(source_at(body.len()), 0);
        block.extend_from_slice(source);
        if block.len() > MAX_JOB {
            bail!("prompt and source are too long for a job block of {MAX_JOB} bytes");
        }
        let name = format!("attoformer-job-{}-{}.bin", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, block).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for JobFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Stops a child process that sends nothing.
struct Watchdog {
    alive: mpsc::Sender<()>,
    thread: thread::JoinHandle<bool>,
}

impl Watchdog {
    fn start(child: Arc<Mutex<Child>>) -> Self {
        let (alive, signals) = mpsc::channel();
        let thread = thread::spawn(move || {
            loop {
                match signals.recv_timeout(TIMEOUT) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return false,
                    Err(RecvTimeoutError::Timeout) => {
                        kill(&child);
                        return true;
                    }
                }
            }
        });
        Self { alive, thread }
    }

    fn alive(&self) {
        let _ = self.alive.send(());
    }

    /// Ends the watch; true if it had to stop the child process.
    fn stop(self) -> bool {
        drop(self.alive);
        self.thread.join().unwrap_or(false)
    }
}

fn kill(child: &Mutex<Child>) {
    if let Ok(mut child) = child.lock() {
        let _ = child.kill();
    }
}
