//! Checks a request against the chip's memory map, and against a fake probe where that is possible.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use probe_rs::Permissions;
use probe_rs::config::{Registry, Target};
use probe_rs::flashing::{DownloadOptions, FlashLoader};
use probe_rs::integration::FakeProbe;

use crate::error::{ProbeError, chain};

/// Finds the chip, and stages the segments in its flash.
///
/// # Errors
/// [`ProbeError::Chip`], [`ProbeError::Segment`].
pub fn plan(chip: &str, segments: &[(u64, Vec<u8>)]) -> Result<(Target, FlashLoader), ProbeError> {
    let registry = Registry::from_builtin_families();
    let found = registry.get_target_by_name(chip);
    let target = found.map_err(|error| ProbeError::Chip { chip: chip.to_owned(), cause: chain(&error) })?;
    let mut loader = target.flash_loader();
    for (address, bytes) in segments {
        let refuse = |error| ProbeError::Segment { chip: chip.to_owned(), address: *address, bytes: bytes.len(), cause: chain(&error) };
        loader.add_data(*address, bytes).map_err(refuse)?;
    }
    Ok((target, loader))
}

/// Goes through everything but the writing with a fake probe. Some chips cannot be attached by one; then the memory map is all that is checked.
///
/// # Errors
/// [`ProbeError::Flash`]: no flash algorithm of the chip covers the segments.
pub fn dry_run(target: Target, loader: &FlashLoader) -> Result<(), ProbeError> {
    let chip = target.name.clone();
    let bytes: usize = loader.data().map(|(_, bytes)| bytes.len()).sum();
    // The unlock sequences of some chips ask the fake probe for registers that it does not have, and it panics then.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let attached = catch_unwind(AssertUnwindSafe(|| FakeProbe::with_mocked_core().into_probe().attach(target, Permissions::default())));
    set_hook(hook);
    let Ok(Ok(mut session)) = attached else {
        eprintln!("{chip}: {bytes} bytes are in its flash; a fake probe cannot attach to it, so nothing else was checked");
        return Ok(());
    };
    let mut options = DownloadOptions::default();
    options.dry_run = true;
    loader.commit(&mut session, options).map_err(|error| ProbeError::Flash { chip: chip.clone(), cause: chain(&error) })?;
    eprintln!("{chip}: {bytes} bytes are in its flash and covered by a flash algorithm");
    Ok(())
}
