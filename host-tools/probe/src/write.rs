//! Writes the flash: finds the probe, attaches to the chip, erases, programs, verifies, and starts the program.

use probe_rs::Permissions;
use probe_rs::config::Target;
use probe_rs::flashing::{DownloadOptions, FlashLoader, FlashProgress, ProgressEvent};
use probe_rs::probe::list::Lister;
use probe_rs::probe::{DebugProbeSelector, Probe};

use crate::error::{ProbeError, chain};

/// Writes the staged segments and starts the chip.
///
/// # Errors
/// [`ProbeError`]: no probe, another chip, a failed write.
pub fn write(target: Target, loader: &FlashLoader, probe: Option<&str>) -> Result<(), ProbeError> {
    let chip = target.name.clone();
    let probe = open(probe)?;
    let attached = probe.attach(target, Permissions::default());
    let mut session = attached.map_err(|error| ProbeError::Attach { chip: chip.clone(), cause: chain(&error) })?;
    let mut bytes = Bytes::default();
    let mut options = DownloadOptions::default();
    options.verify = true;
    options.progress = FlashProgress::new(|event| bytes.report(event));
    let refuse = |cause: String| ProbeError::Flash { chip: chip.clone(), cause };
    loader.commit(&mut session, options).map_err(|error| refuse(chain(&error)))?;
    let mut core = session.core(0).map_err(|error| refuse(chain(&error)))?;
    core.reset().map_err(|error| refuse(chain(&error)))
}

/// Opens the probe that was chosen, or the only one.
fn open(selector: Option<&str>) -> Result<Probe, ProbeError> {
    let lister = Lister::new();
    if let Some(selector) = selector {
        let selector: DebugProbeSelector = selector.parse().map_err(|error| ProbeError::Open(chain(&error)))?;
        return lister.open(selector).map_err(|error| ProbeError::Open(chain(&error)));
    }
    let probes = lister.list_all();
    match &probes[..] {
        [] => Err(ProbeError::NoProbe),
        [probe] => probe.open().map_err(|error| ProbeError::Open(chain(&error))),
        _ => Err(ProbeError::SeveralProbes(probes.iter().map(ToString::to_string).collect::<Vec<String>>().join("; "))),
    }
}

/// Bytes of all operations: erasing, programming and verifying.
#[derive(Default)]
struct Bytes {
    done: u64,
    total: u64,
}

impl Bytes {
    /// Adds up an event and prints the state.
    fn report(&mut self, event: ProgressEvent) {
        match event {
            ProgressEvent::AddProgressBar { total, .. } => self.total += total.unwrap_or(0),
            ProgressEvent::Progress { size, .. } => {
                self.done = (self.done + size).min(self.total);
                eprintln!("progress {} {}", self.done, self.total);
            }
            ProgressEvent::DiagnosticMessage { message } => eprintln!("{}", message.trim_end()),
            _ => {}
        }
    }
}
