//! Attention weights on emulated boards equal those of this PC, weight for weight.

use std::path::Path;

use attoformer::Image;
use attoformer_needs::needs;
use attoformer_protocol::job::Prompt;
use attoformer_tools::engine::Setup;
use attoformer_tools::inspect::{InspectedModel, board};
use xtask::machines::MACHINES;
use xtask::process::root;

/// One board with integer kernels of its own and one with scalar kernels.
#[needs(program = "qemu-system-arm", program = "qemu-system-riscv32")]
#[test]
fn attention_weights_of_boards_equal_those_of_this_pc() {
    let path = root().join("models/tales/tales.atto");
    let bytes = attoformer_tools::files::map(&path).unwrap();
    let image = Image::new(&bytes).unwrap();
    let tokens: Vec<u32> = (0..21).map(|index| 1 + index * 29 % 600).collect();
    let prompt: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    let subject = InspectedModel { image, path: Path::new(&path), setup: Setup::default(), threads: 1 };
    for (name, layer, head) in [("mps2-an386", 2, 1), ("riscv32-virt", 0, 7)] {
        let machine = MACHINES.into_iter().find(|machine| machine.name == name).expect("the machine is in the table");
        let rows =
            xtask::attention::rows(&machine, &path, Prompt::Tokens(&prompt), layer, head).unwrap_or_else(|error| panic!("{error:#}"));
        let rows = board::Rows { machine: rows.machine, layer, head, rows: rows.rows };
        let view = board::view(&subject, &tokens, &rows).unwrap();
        assert_eq!((view.differing, view.compared), (0, 21 * 22 / 2), "{name}");

        // A weight that differs is found.
        let mut other = rows.clone();
        other.rows[5][2] += 1;
        assert_eq!(board::view(&subject, &tokens, &other).unwrap().differing, 1);
        assert!(board::view(&subject, &tokens[1..], &rows).is_err());
    }
}
