//! The logit lens, and runs that start at a later layer, on every member of the family: the last layer's rows are the output, bit for bit.

use attoformer::image::KvType;
use attoformer::probe::{Part, Site};
use attoformer::{Error, Image, Plan, Probe, Session, arena_bytes};
use attoformer_tests::random_model::RandomModel;
use attoformer_tools::files::AlignedBytes;

/// Rows of the residual stream after a number of layers.
struct RecordRows {
    layers: u32,
    rows: Vec<f32>,
}

impl Probe for RecordRows {
    fn rows(&mut self, site: Site, _: usize, rows: &mut [f32]) {
        let after = match site.part {
            Part::Embedded => 0,
            Part::Residual => site.layer + 1,
            _ => return,
        };
        if after == self.layers {
            self.rows.extend_from_slice(rows);
        }
    }
}

/// Continues from recorded rows.
struct StartFrom(RecordRows);

impl Probe for StartFrom {
    fn first_layer(&self) -> u32 {
        self.0.layers
    }

    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        if site.part == Part::Embedded {
            rows.copy_from_slice(&self.0.rows[site.start * width..][..rows.len()]);
        } else {
            assert!(site.layer >= self.0.layers, "a layer before the first one was run");
        }
    }
}

fn with_session<T>(model: &RandomModel, work: impl FnOnce(&mut Session) -> T) -> T {
    let bytes = model.pack_mixed(KvType::Int8);
    let image = Image::new(&bytes).unwrap();
    let plan = Plan::packed(image.config()).with_block(5);
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    work(&mut Session::with_plan(&image, &mut arena, plan).unwrap())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn the_lens_of_the_last_layer_is_the_output() {
    let tokens: Vec<u32> = (0..13).map(|index| 1 + index * 17 % 280).collect();
    for (name, model) in RandomModel::family() {
        with_session(&model, |session| {
            let mut kept = RecordRows { layers: model.config.layers, rows: Vec::new() };
            session.prefill_probed(&tokens, &mut kept).unwrap();
            session.reset();
            let mut logits = Vec::new();
            session.prefill_each(&tokens, |_, row| logits.push(bits(row))).unwrap();
            for (position, row) in kept.rows.chunks(model.config.d_model as usize).enumerate() {
                assert_eq!(bits(session.lens(row).unwrap()), logits[position], "{name}, position {position}");
            }
            // The sequence is unchanged: the lens does not affect the next token's logits.
            let looked = bits(session.step(9).unwrap());
            session.reset();
            session.prefill(&tokens).unwrap();
            assert_eq!(bits(session.step(9).unwrap()), looked, "{name}");
        });
    }
}

#[test]
fn a_run_that_begins_later_ends_the_same() {
    let tokens: Vec<u32> = (0..13).map(|index| 1 + index * 17 % 280).collect();
    for (name, model) in RandomModel::family() {
        with_session(&model, |session| {
            for layers in 0..=model.config.layers {
                let mut kept = RecordRows { layers, rows: Vec::new() };
                session.reset();
                let whole = bits(session.prefill_probed(&tokens, &mut kept).unwrap());
                session.reset();
                assert_eq!(bits(session.prefill_probed(&tokens, &mut StartFrom(kept)).unwrap()), whole, "{name} from layer {layers}");
            }
        });
    }
}

#[test]
fn the_lens_refuses_what_is_no_row() {
    let model = RandomModel::small();
    with_session(&model, |session| {
        let width = model.config.d_model as usize;
        assert_eq!(session.lens(&vec![0.0; width - 1]), Err(Error::Features { width, values: width - 1 }));
        assert_eq!(session.lens(&vec![f32::NAN; width]), Err(Error::Features { width, values: width }));
        assert!(session.lens(&vec![0.5; width]).is_ok());
    });
    let [(_, encoder), _] = RandomModel::encoders();
    with_session(&encoder, |session| {
        let row = vec![0.0; encoder.config.d_model as usize];
        assert!(matches!(session.lens(&row), Err(Error::Architecture { .. })));
    });
}
