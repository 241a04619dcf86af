//! `atto flash`.

use std::path::{Path, PathBuf};

use attoformer::image::Image;
use attoformer_protocol::boards::{Board, Boot};
use attoformer_tools::flash::{
    FileKind, FlashError, Plan, Program, encode_bin, encode_hex, encode_uf2, firmware, fit, flasher, write_file,
};
use attoformer_tools::{Error, files};

use super::boards;
use super::output::{print, print_json};

/// Write firmware and model to a board, or to a file for it
#[derive(clap::Args)]
pub struct Args {
    /// Image
    image: PathBuf,
    /// Board, see `atto boards`
    #[arg(long, value_name = "NAME", value_parser = boards::parse)]
    board: &'static Board,
    /// Firmware as an ELF or UF2 file [default: firmware/NAME.elf beside atto, or the one that is built from this checkout]
    #[arg(long, value_name = "FILE")]
    firmware: Option<PathBuf>,
    /// Write the model alone; the board keeps its firmware
    #[arg(long, conflicts_with = "firmware")]
    model_only: bool,
    #[command(flatten)]
    output: OutputArgs,
    /// Print what would be written and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// A file instead of the board.
#[derive(clap::Args)]
#[group(multiple = false)]
struct OutputArgs {
    /// Write a UF2 file, which is copied to the drive of a board that starts with its BOOTSEL button pressed
    #[arg(long, value_name = "OUT.uf2")]
    uf2: Option<PathBuf>,
    /// Write an Intel HEX file
    #[arg(long, value_name = "OUT.hex")]
    hex: Option<PathBuf>,
    /// Write a contiguous binary file from the lowest address on
    #[arg(long, value_name = "OUT.bin")]
    bin: Option<PathBuf>,
}

impl OutputArgs {
    fn file(&self) -> Option<(FileKind, &Path)> {
        let uf2 = self.uf2.as_deref().map(|path| (FileKind::Uf2, path));
        let hex = self.hex.as_deref().map(|path| (FileKind::Hex, path));
        uf2.or(hex).or(self.bin.as_deref().map(|path| (FileKind::Bin, path)))
    }
}

/// Checks everything, then writes.
pub fn run(args: Args) -> Result<(), Error> {
    let (board, output) = (args.board, args.output.file());
    let bytes = files::map(&args.image)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.image))?;
    fit::check(board, &image).map_err(Error::file(&args.image))?;
    check_request(&args)?;
    if let Some((_, path)) = output {
        files::check_distinct(path, &args.image)?;
        args.firmware.as_deref().map_or(Ok(()), |firmware| files::check_distinct(path, firmware))?;
    }
    // Before a firmware is built: the missing program is the sooner answer.
    let tool = if output.is_none() && !args.dry_run { Some(flasher::find(board)?) } else { None };
    let firmware = match &args.firmware {
        Some(path) => Some(path.clone()),
        None if args.model_only => None,
        None => Some(firmware::find(board)?),
    };
    let content = firmware.as_deref().map(files::map).transpose()?;
    let program = match (&firmware, &content) {
        (Some(path), Some(content)) => Some(read_program(board, path, content, &image)?),
        _ => None,
    };
    let plan = Plan { board, program, image: &bytes };
    if !args.dry_run {
        match (output, &tool) {
            (Some((kind, path)), _) => write_file(path, kind, &encode(&plan, kind, path)?)?,
            (None, Some(tool)) => tool.write(&plan, firmware.as_deref())?,
            (None, None) => {}
        }
    }
    let is_uf2 = output.is_some_and(|(kind, _)| kind == FileKind::Uf2);
    let report = plan.report(firmware.as_deref(), output.map(|(_, path)| path), is_uf2, !args.dry_run);
    if args.json { print_json(&report) } else { print(&report.to_string()) }
}

/// Refuses files that the board cannot use.
fn check_request(args: &Args) -> Result<(), Error> {
    let Some((kind, _)) = args.output.file() else { return Ok(()) };
    if args.board.boot == Boot::Espressif && !args.model_only {
        return Err(Error::request(FlashError::EspressifFile(args.board.name)));
    }
    if kind == FileKind::Uf2 && args.board.uf2_family.is_none() {
        return Err(Error::request(FlashError::NoUf2(args.board.name)));
    }
    Ok(())
}

/// Reads a firmware and checks it against board and image.
fn read_program<'a>(board: &'static Board, path: &Path, content: &'a [u8], image: &Image<'_>) -> Result<Program<'a>, Error> {
    let program = Program::read(board, content).map_err(Error::file(path))?;
    program.check_features(image).map_err(Error::file(path))?;
    if program.statement.board.is_none() {
        eprintln!("note: {} does not state its board and features, so only its addresses and its processor were checked", path.display());
    }
    Ok(program)
}

/// The bytes of the file.
fn encode(plan: &Plan<'_>, kind: FileKind, path: &Path) -> Result<Vec<u8>, Error> {
    let segments = plan.segments();
    match (kind, plan.board.uf2_family) {
        (FileKind::Uf2, Some(family)) => Ok(encode_uf2(&segments, plan.board.flash, family)),
        (FileKind::Uf2, None) => Err(Error::request(FlashError::NoUf2(plan.board.name))),
        (FileKind::Hex, _) => Ok(encode_hex(&segments)),
        (FileKind::Bin, _) => encode_bin(&segments).map_err(Error::file(path)),
    }
}
