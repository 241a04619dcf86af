//! `atto flash`: the files that it writes, what it refuses, and the programs that it starts.

mod common;
#[path = "common/firmware.rs"]
mod firmware;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use attoformer_protocol::boards::{BOARDS, PICO};
use attoformer_tools::flash::{Segment, decode_uf2, encode_bin};
use common::{Numbers, Tiny, header, llama2c, tokenizer};
use firmware::Firmware;
use serde_json::Value;

/// Family of the RP2040 in <https://github.com/microsoft/uf2/blob/master/utils/uf2families.json>.
const RP2040: u32 = 0xe48b_ff56;
const SLOT: u32 = 0x1008_0000;

/// A folder with an image `tiny.atto` and the firmware `pico.elf`, and the program, run in it without other programs on the PATH.
struct Desk {
    tiny: Tiny,
    image: Vec<u8>,
}

impl Desk {
    fn new() -> Self {
        let tiny = Tiny::new();
        let image = pack(&tiny, &["--weights", "int8"]);
        let image = std::fs::read(image).unwrap();
        std::fs::write(tiny.path("pico.elf"), Firmware::pico().elf()).unwrap();
        Desk { tiny, image }
    }

    fn atto(&self, args: &[&str]) -> Output {
        self.with_path(OsStr::new(""), args)
    }

    fn with_path(&self, path: &OsStr, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_atto")).current_dir(self.tiny.folder.path()).env("PATH", path).args(args).output().unwrap()
    }

    fn flash(&self, args: &[&str]) -> Output {
        self.atto(&[&["flash", "tiny.atto"], args].concat())
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.flash(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The sentence of a command that fails and leaves every file as it is.
    #[track_caller]
    fn refusal(&self, args: &[&str]) -> String {
        let before = self.tiny.files();
        let output = self.flash(args);
        let stderr = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{args:?}: {stderr}");
        assert_eq!(self.tiny.files(), before, "{args:?}");
        stderr.lines().last().unwrap().strip_prefix("error: ").unwrap().to_owned()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.tiny.path(name)).unwrap()
    }

    /// Bytes by address that a file for the Pico must contain.
    fn expected(&self) -> BTreeMap<u32, u8> {
        let mut segments = Firmware::pico().segments;
        segments.push((SLOT, self.image.clone()));
        segments.iter().flat_map(|(address, bytes)| bytes.iter().enumerate().map(move |(at, byte)| (address + at as u32, *byte))).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn pack(tiny: &Tiny, args: &[&str]) -> std::path::PathBuf {
    let (source, image) = (tiny.source(), tiny.path("tiny.atto"));
    let output = Command::new(env!("CARGO_BIN_EXE_atto")).arg("pack").arg(source).arg("-o").arg(&image).args(args).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    image
}

#[track_caller]
fn assert_names(sentence: &str, words: &[&str]) {
    assert!(words.iter().all(|word| sentence.contains(word)), "{sentence:?} lacks one of {words:?}");
}

/// `uf2-decode` follows Microsoft's uf2conv.py; it fills gaps between blocks with zeros.
#[test]
fn uf2_files_hold_firmware_and_model_for_another_reader() {
    let desk = Desk::new();
    let report = desk.json(&["--board", "pico", "--firmware", "pico.elf", "--uf2", "out.uf2"]);
    let (bytes, families) = uf2_decode::convert_from_uf2(&desk.read("out.uf2")).unwrap();
    assert_eq!(families.into_iter().collect::<Vec<_>>(), [(RP2040, 0x1000_0000)]);
    for (address, byte) in desk.expected() {
        assert_eq!(bytes[(address - 0x1000_0000) as usize], byte, "{address:#x}");
    }
    assert_eq!(report["written"], true);
    assert_eq!((report["board"].as_str(), report["output"].as_str()), (Some("pico"), Some("out.uf2")));
    assert_eq!(report["firmware_bytes"], 256 + 8 + 1001 + 3);
    assert_eq!(report["model_bytes"], desk.image.len());
}

/// Raspberry Pi's boot ROMs take pages of 256 bytes at multiples of 256, all numbered, each once; an RP2040 needs every page of a sector.
#[test]
fn uf2_blocks_are_what_boot_roms_take() {
    let desk = Desk::new();
    let report = desk.json(&["--board", "pico", "--firmware", "pico.elf", "--uf2", "out.uf2"]);
    let file = desk.read("out.uf2");
    let word = |block: &[u8], index: usize| u32::from_le_bytes(block[4 * index..][..4].try_into().unwrap());
    let mut sectors: BTreeMap<u32, u32> = BTreeMap::new();
    let total = file.len() / 512;
    assert_eq!((file.len() % 512, report["pages"].as_u64()), (0, Some(total as u64)));
    for (number, block) in file.chunks(512).enumerate() {
        let header: Vec<u32> = (0..8).map(|index| word(block, index)).collect();
        let address = header[3];
        assert_eq!(header, [0x0a32_4655, 0x9e5d_5157, 0x2000, address, 256, number as u32, total as u32, RP2040]);
        assert_eq!((word(block, 127), address % 256), (0x0ab1_6f30, 0));
        let pages = sectors.entry(address / 4096).or_default();
        assert_eq!(*pages & 1 << (address / 256 % 16), 0, "a page occurs twice: {address:#x}");
        *pages |= 1 << (address / 256 % 16);
    }
    assert!(sectors.values().all(|pages| *pages == 0xffff), "{sectors:x?}");
    assert_eq!(report["sectors"].as_u64(), Some(sectors.len() as u64));
}

#[test]
fn hex_files_hold_firmware_and_model_for_another_reader() {
    let desk = Desk::new();
    desk.json(&["--board", "pico", "--firmware", "pico.elf", "--hex", "out.hex"]);
    let (mut upper, mut found, mut ended) = (0, BTreeMap::new(), false);
    let hex = text(&desk.read("out.hex"));
    for record in ihex::Reader::new(&hex) {
        assert!(!ended, "a record after the end");
        match record.unwrap() {
            ihex::Record::ExtendedLinearAddress(half) => upper = u32::from(half) << 16,
            ihex::Record::Data { offset, value } => {
                for (at, byte) in value.into_iter().enumerate() {
                    assert!(usize::from(offset) + at < 1 << 16);
                    assert_eq!(found.insert(upper + u32::from(offset) + at as u32, byte), None);
                }
            }
            ihex::Record::EndOfFile => ended = true,
            other => panic!("{other:?}"),
        }
    }
    assert!(ended && found == desk.expected());
}

#[test]
fn binary_files_are_contiguous_from_the_lowest_address() {
    let desk = Desk::new();
    desk.json(&["--board", "pico", "--firmware", "pico.elf", "--bin", "out.bin"]);
    let (file, expected) = (desk.read("out.bin"), desk.expected());
    assert_eq!(file.len() as u32, SLOT - 0x1000_0000 + desk.image.len() as u32);
    for (at, byte) in file.iter().enumerate() {
        assert_eq!(Some(byte), expected.get(&(0x1000_0000 + at as u32)).or(Some(&0xff)), "{at}");
    }
}

#[test]
fn a_binary_file_of_padding_is_refused() {
    let segments = |second: u32| [Segment::new(0x1000_0000, &[1]).unwrap(), Segment::new(second, &[2]).unwrap()];
    assert_eq!(encode_bin(&segments(0x1000_0003)).unwrap(), [1, 0xff, 0xff, 2]);
    let sentence = encode_bin(&segments(0x3801_0000)).unwrap_err().to_string();
    assert_names(&sentence, &["671154175 bytes", "0x10000001", "0x38010000", "--hex"]);
}

#[test]
fn the_model_alone_goes_to_the_first_slot_of_every_board() {
    let desk = Desk::new();
    for board in BOARDS {
        let report = desk.json(&["--board", board.name, "--model-only", "--bin", "model.bin"]);
        assert_eq!(desk.read("model.bin"), desk.image, "{}", board.name);
        assert_eq!(report["firmware_bytes"], 0);
        assert_eq!(report["model_at"], board.models.slots[0], "{}", board.name);
        let sectors = desk.image.len().div_ceil(board.models.sector as usize);
        assert_eq!(
            report["erase"],
            serde_json::json!([{ "start": board.models.slots[0], "sector_bytes": board.models.sector, "count": sectors }])
        );
    }
}

/// The STM32F405's program is in sectors 0 and 3, its first slot starts with sector 6 (RM0090, table 5).
#[test]
fn the_erase_plan_follows_the_sizes_of_sectors() {
    let desk = Desk::new();
    let mut firmware = Firmware::cortex_m(0x0800_0000, 13);
    firmware.segments.push((0x0800_c000, vec![0; 0x4001]));
    std::fs::write(desk.tiny.path("f405.elf"), firmware.elf()).unwrap();
    let report = desk.json(&["--board", "stm32f405", "--firmware", "f405.elf", "--dry-run"]);
    let run = |start: u32, bytes: u32| serde_json::json!({ "start": start, "sector_bytes": bytes, "count": 1 });
    let expected = [run(0x0800_0000, 16384), run(0x0800_c000, 16384), run(0x0801_0000, 65536), run(0x0804_0000, 131_072)];
    assert_eq!(report["erase"], serde_json::json!(expected));
    assert_eq!((&report["sectors"], &report["written"], &report["output"]), (&4.into(), &false.into(), &Value::Null));
    assert_eq!(report["pages"].as_u64(), Some(1 + 65 + desk.image.len().div_ceil(256) as u64));
}

#[test]
fn a_dry_run_writes_nothing() {
    let desk = Desk::new();
    let before = desk.tiny.files();
    for output in [&["--uf2", "o.uf2"][..], &["--hex", "o.hex"], &["--bin", "o.bin"], &[]] {
        let report = desk.json(&[&["--board", "pico", "--firmware", "pico.elf", "--dry-run"], output].concat());
        assert_eq!(report["written"], false);
    }
    assert_eq!(desk.tiny.files(), before);
    let printed = text(&desk.flash(&["--board", "pico", "--model-only", "--dry-run"]).stdout);
    assert_names(&printed, &["nothing was written", "0x10080000", "4,096"]);
}

#[test]
fn other_files_are_never_overwritten() {
    let desk = Desk::new();
    let write = |name: &str, content: &[u8]| std::fs::write(desk.tiny.path(name), content).unwrap();
    write("notes.txt", b"months of work");
    for (option, kind) in [("--uf2", "a UF2 file"), ("--hex", "an Intel HEX file"), ("--bin", "an older version")] {
        let flash = |name: &str| desk.flash(&["--board", "pico", "--model-only", option, name]);
        assert_names(
            &desk.refusal(&["--board", "pico", "--model-only", option, "notes.txt"]),
            &["notes.txt", "refusing to overwrite", kind],
        );
        assert_eq!(desk.read("notes.txt"), b"months of work");
        assert!(flash("own").status.success());
        assert!(flash("own").status.success(), "an older file of that kind is replaced");
        std::fs::remove_file(desk.tiny.path("own")).unwrap();
    }
    assert_names(&desk.refusal(&["--board", "pico", "--model-only", "--bin", "tiny.atto"]), &["the output is the input"]);
    assert_names(&desk.refusal(&["--board", "pico", "--firmware", "pico.elf", "--bin", "pico.elf"]), &["the output is the input"]);
    assert_names(&desk.refusal(&["--board", "pico", "--model-only", "--bin", "none/x"]), &["none/x", "no such file"]);
}

/// A model of a longer context and a wider layer than boards have memory for.
fn large(context: i32, hidden: i32) -> Tiny {
    let mut sizes = header();
    (sizes[1], sizes[6]) = (hidden, context);
    let [dim, hidden, layers, heads, kv_heads, vocab, context] = sizes.map(|size| size as usize);
    let kv = dim / heads * kv_heads;
    let floats = vocab * dim + layers * (2 * dim + 2 * dim * dim + 2 * kv * dim + 3 * hidden * dim) + dim + context * (dim / heads / 2) * 2;
    let mut numbers = Numbers(3);
    Tiny::with(&llama2c::file(sizes, (0..floats).map(|_| numbers.float())), &tokenizer())
}

#[test]
fn models_that_do_not_fit_are_refused_with_all_numbers() {
    let arena = large(30_000, 35);
    let image = pack(&arena, &["--weights", "int8", "--calibrate", "none"]);
    let info: Value = serde_json::from_slice(&run_in(&arena, &["info", "tiny.atto", "--board", "stm32f405", "--json"]).stdout).unwrap();
    let need = info["arena_bytes"].as_u64().unwrap();
    assert_eq!(info["board"]["fits"], false);
    let refused = run_in(&arena, &["flash", "tiny.atto", "--board", "stm32f405", "--model-only", "--hex", "out.hex"]);
    let sentence = text(&refused.stderr);
    let more = need - 96 * 1024;
    assert_names(
        &sentence,
        &["tiny.atto", &need.to_string(), "98304", &more.to_string(), "30000 tokens", "largest --context that fits is "],
    );
    assert!(!arena.path("out.hex").exists() && !refused.status.success());

    // The context that it names fits, and one more token would not.
    let largest: u32 = sentence.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    let with = |context: u32| {
        let context = context.to_string();
        run_in(&arena, &["pack", "tiny.bin", "-o", "fit.atto", "--calibrate", "none", "--board", "stm32f405", "--context", &context])
    };
    assert!(with(largest).status.success());
    assert_names(&text(&with(largest + 1).stderr), &["98304", &format!("fits is {largest}")]);

    let flash = large(20, 20_000);
    let bytes = std::fs::metadata(pack(&flash, &["--weights", "f32", "--calibrate", "none"])).unwrap().len();
    let sentence = text(&run_in(&flash, &["flash", "tiny.atto", "--board", "pico", "--model-only", "--uf2", "out.uf2"]).stderr);
    assert_names(&sentence, &["tiny.atto", &bytes.to_string(), "786432", &(bytes - 786_432).to_string(), "atto pack --board pico"]);
    assert!(!flash.path("out.uf2").exists() && image.exists());
}

fn run_in(tiny: &Tiny, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atto")).current_dir(tiny.folder.path()).env("PATH", "").args(args).output().unwrap()
}

#[test]
fn missing_features_and_other_boards_are_refused() {
    let desk = Desk::new();
    let write = |statement: &str| std::fs::write(desk.tiny.path("own.elf"), Firmware::pico().stating(statement).elf()).unwrap();
    let args = ["--board", "pico", "--firmware", "own.elf", "--uf2", "out.uf2"];
    write("board=pico\nfeatures=int8,kv-float\n");
    assert_names(&desk.refusal(&args), &["own.elf", "bpe, kv-int8", "(int8, kv-float)"]);
    write("board=pico2\nfeatures=bpe,int8,kv-int8\n");
    assert_names(&desk.refusal(&args), &["own.elf", "firmware of pico2, not of pico"]);
    write("board=pico\nfeatures=a12,bpe,int8,kv-int8\n");
    desk.json(&args);
    // A firmware as UF2 has a family instead.
    std::fs::rename(desk.tiny.path("out.uf2"), desk.tiny.path("own.uf2")).unwrap();
    assert_names(&desk.refusal(&["--board", "pico2", "--firmware", "own.uf2", "--dry-run"]), &["0xe48bff56", "pico2 takes 0xe48bff59"]);
    assert_names(&desk.refusal(&["--board", "stm32f405", "--firmware", "own.uf2", "--dry-run"]), &["stm32f405 takes no UF2 files"]);
}

#[test]
fn damaged_images_and_wrong_outputs_are_refused() {
    let desk = Desk::new();
    let mut damaged = desk.image.clone();
    damaged[desk.image.len() / 2] ^= 1;
    std::fs::write(desk.tiny.path("bad.atto"), damaged).unwrap();
    let refused = desk.atto(&["flash", "bad.atto", "--board", "pico", "--model-only", "--uf2", "x.uf2"]);
    assert_names(&text(&refused.stderr), &["error: bad.atto", "checksum"]);
    assert_names(
        &desk.refusal(&["--board", "nucleo-h743", "--model-only", "--uf2", "x.uf2"]),
        &["nucleo-h743 takes no UF2", "--hex or --bin"],
    );
    assert_names(&desk.refusal(&["--board", "esp32-c3", "--hex", "x.hex"]), &["esp32-c3", "espflash", "--model-only"]);
}

#[test]
fn a_missing_firmware_or_flasher_says_where_to_get_it() {
    let desk = Desk::new();
    assert_names(
        &desk.refusal(&["--board", "pico", "--uf2", "x"]),
        &["no firmware for pico", "pico.elf", "firmware/boards/pico", "--firmware"],
    );
    assert_names(&desk.refusal(&["--board", "pico", "--model-only"]), &["atto-probe", "PATH", "cargo install", "--uf2, --hex or --bin"]);
    assert_names(&desk.refusal(&["--board", "esp32-c6", "--model-only"]), &["espflash", "PATH", "cargo install espflash"]);
}

#[test]
fn damaged_uf2_files_are_refused() {
    let desk = Desk::new();
    desk.json(&["--board", "pico", "--model-only", "--uf2", "out.uf2"]);
    let file = desk.read("out.uf2");
    let (family, segments) = decode_uf2(&file).unwrap();
    assert_eq!((Some(family), segments.len()), (PICO.uf2_family, file.len() / 512));
    assert!(decode_uf2(&file[..file.len() - 1]).unwrap_err().to_string().contains("is cut off"));
    assert!(decode_uf2(&file[512..]).unwrap_err().to_string().contains("block 0 is out of order"));
    for at in (0..32).chain(508..512).filter(|at| !(12..16).contains(at)) {
        let mut damaged = file.clone();
        damaged[512 + at] ^= 0x40;
        let sentence = decode_uf2(&damaged).unwrap_err().to_string();
        assert!(sentence.contains("block 1 ") && sentence.contains("make it again"), "{at}: {sentence}");
    }
}

#[cfg(unix)]
mod programs {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A shell script as a program of this name.
    fn script(folder: &Path, name: &str, lines: &str) {
        let path = folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_probe_program_gets_chip_and_segments() {
        let desk = Desk::new();
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::join_paths([folder.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        let keep = "cat > request.json\nfor file in $(grep -o '/[^\"]*bin' request.json); do cp \"$file\" .; done";
        script(folder.path(), "atto-probe", &format!("{keep}\necho progress 1 2 >&2\necho wrote to stdout"));
        let args = ["flash", "tiny.atto", "--board", "pico", "--firmware", "pico.elf", "--json"];
        let output = desk.with_path(&path, &args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["written"], &report["output"]), (&true.into(), &Value::Null));
        let request: Value = serde_json::from_slice(&desk.read("request.json")).unwrap();
        assert_eq!((request["chip"].as_str(), request["dry_run"].as_bool()), (Some("RP2040"), Some(false)));
        let mut found = BTreeMap::new();
        for segment in request["segments"].as_array().unwrap() {
            let name = Path::new(segment["file"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned();
            let address = segment["address"].as_u64().unwrap() as u32;
            found.extend(desk.read(&name).into_iter().enumerate().map(|(at, byte)| (address + at as u32, byte)));
        }
        assert_eq!(found, desk.expected());

        script(folder.path(), "atto-probe", "echo 'error: no debug probe is connected' >&2\nexit 1");
        let output = desk.with_path(&path, &args);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        assert_names(&text(&output.stderr), &["error: atto-probe did not write the flash: no debug probe is connected\n"]);
    }

    #[test]
    fn espflash_gets_model_partitions_and_firmware() {
        let desk = Desk::new();
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::join_paths([folder.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        script(
            folder.path(),
            "espflash",
            "echo \"$@\" >> calls.txt\ncase $1 in write-bin) cp $5 model.bin;; flash) cp $5 table.csv;; esac",
        );
        let firmware = Firmware { machine: firmware::RISCV, ..Firmware::cortex_m(0x4200_0020, 0) };
        let attributes = firmware::riscv_attributes("rv32i2p1_m2p0_c2p0");
        std::fs::write(desk.tiny.path("c3.elf"), Firmware { attributes, ..firmware }.elf()).unwrap();
        let output = desk.with_path(&path, &["flash", "tiny.atto", "--board", "esp32-c3", "--firmware", "c3.elf"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(desk.read("model.bin"), desk.image);
        let calls = text(&desk.read("calls.txt"));
        let calls: Vec<&str> = calls.lines().collect();
        assert!(calls[0].starts_with("write-bin --chip esp32c3 0x200000 "), "{calls:?}");
        assert!(calls[1].starts_with("flash --chip esp32c3 --partition-table ") && calls[1].ends_with(" c3.elf"), "{calls:?}");
        assert_names(
            &text(&desk.read("table.csv")),
            &["factory, app, factory, 0x10000, 0x1e0000", "slot0, data, 0x41, 0x200000, 0x100000"],
        );
    }

    #[test]
    fn a_checkout_builds_the_firmware_of_the_board() {
        let desk = Desk::new();
        let folder = desk.tiny.path("checkout/firmware/boards/pico");
        std::fs::create_dir_all(desk.tiny.path("checkout/deep/below")).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("Cargo.toml"), "").unwrap();
        let elf = desk.tiny.path("pico.elf");
        let message = |name: &str, path: &str| format!("echo '{{\"target\":{{\"name\":\"{name}\"}},\"executable\":{path}}}'");
        let own = message("pico", &format!("\"{}\"", elf.display()));
        let lines =
            [message("library", "null"), own, message("other", "\"/none\""), "pwd > built".to_owned(), "echo \"$@\" >> built".to_owned()];
        script(desk.tiny.folder.path(), "cargo-stand-in", &lines.join("\n"));
        let build = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_atto"));
            command.current_dir(desk.tiny.path("checkout/deep/below")).env("CARGO", desk.tiny.path("cargo-stand-in"));
            command.args(["flash", "../../../tiny.atto", "--board", "pico", "--dry-run", "--json"]).output().unwrap()
        };
        let output = build();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["firmware"].as_str(), elf.to_str());
        assert_names(&text(&output.stderr), &["building the firmware of pico in "]);
        assert_names(&text(&std::fs::read(folder.join("built")).unwrap()), &["firmware/boards/pico\n", "build --release"]);

        script(desk.tiny.folder.path(), "cargo-stand-in", "exit 101");
        let output = build();
        assert_eq!(output.status.code(), Some(1));
        assert_names(&text(&output.stderr), &["firmware/boards/pico: building the firmware failed", "101", "cargo build --release"]);
    }
}
