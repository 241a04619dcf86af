//! Probes on every architecture family: the input of every matrix product and the keys are passed once, and observing changes no bit.

use std::collections::BTreeMap;

use attoformer::image::{Config, InputStem, KvType, Role};
use attoformer::probe::{Part, Site};
use attoformer::{Image, Plan, Probe, Session, arena_bytes};
use attoformer_tests::random_model::{families, feature_rows};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;

/// Rows of an encoder's input: more than a block, and not a multiple of four.
const SOURCE: usize = 19;
/// Tokens of a decoder's prompt.
const PROMPT: usize = 11;

/// Width and values of everything that a probe receives, by layer and part.
#[derive(Default)]
struct Recorder(BTreeMap<(u32, Part), (usize, Vec<u32>)>);

impl Recorder {
    fn record(&mut self, site: Site, width: usize, rows: &[f32]) {
        let (known, values) = self.0.entry((site.layer, site.part)).or_insert((width, Vec::new()));
        assert_eq!(*known, width, "{site:?}");
        values.extend(rows.iter().map(|x| x.to_bits()));
    }

    fn rows(&self, layer: u32, part: Part) -> usize {
        self.0.get(&(layer, part)).map_or(0, |(width, values)| values.len() / width)
    }
}

impl Probe for Recorder {
    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        assert!(!matches!(site.part, Part::Input(_)), "{site:?}");
        self.record(site, width, rows);
    }

    fn input(&mut self, site: Site, width: usize, rows: &[f32]) {
        assert!(matches!(site.part, Part::Input(_)), "{site:?}");
        self.record(site, width, rows);
    }
}

/// Runs the encoder, the decoder, or both; returns the bits of their outputs.
fn run(image: &[u8], probe: &mut impl Probe) -> Vec<u32> {
    let image = Image::new(image).unwrap();
    let config = *image.config();
    let plan = Plan::packed(&config).with_block(5);
    let mut arena = AlignedBytes::zeroed(arena_bytes(&config, plan));
    let mut session = Session::with_plan(&image, &mut arena, plan).unwrap();
    let tokens = |count: usize| (0..count as u32).map(|index| 3 + index * 37 % (config.vocab - 3)).collect::<Vec<u32>>();
    let mut output = Vec::new();
    if config.has_encoder() {
        let rows = match config.input_stem {
            InputStem::Tokens => session.encode_probed(&tokens(SOURCE), probe),
            _ => session.encode_features_probed(&feature_rows(&config, SOURCE, 5), probe),
        };
        output.extend(rows.unwrap().iter().map(|x| x.to_bits()));
    }
    if is_decoder(&config) {
        output.extend(session.prefill_probed(&tokens(PROMPT), probe).unwrap().iter().map(|x| x.to_bits()));
    }
    output
}

fn is_decoder(config: &Config) -> bool {
    config.output_dim(1) == u64::from(config.vocab)
}

/// Whether a tensor is an operand of a matrix product, not a norm or a table.
fn is_operand(config: &Config, role: Role) -> bool {
    match role {
        Role::Embedding => config.tied_head && is_decoder(config),
        Role::Qkv | Role::AttnOut | Role::MlpUp | Role::MlpDown | Role::Head | Role::LayerGate | Role::LayerProject => true,
        Role::CrossQuery | Role::CrossKv | Role::CrossOut | Role::Conv1 | Role::Conv2 | Role::Pooler | Role::Classifier => true,
        _ => false,
    }
}

#[test]
fn a_probe_receives_the_input_of_every_matrix_product() {
    for (name, model) in families() {
        let bytes = model.pack(Format::Int8, KvType::Int8);
        let image = Image::new(&bytes).unwrap();
        let config = image.config();
        let mut recorder = Recorder::default();
        run(&bytes, &mut recorder);
        let mut operands = 0;
        for entry in image.entries().filter(|entry| is_operand(config, entry.role)) {
            let key = (entry.layer.unwrap_or(0), Part::Input(entry.role));
            let (width, values) = recorder.0.get(&key).unwrap_or_else(|| panic!("{name}: {key:?} is missing"));
            assert_eq!(*width, entry.columns as usize, "{name}: {key:?}");
            assert!(values.iter().all(|&bits| f32::from_bits(bits).is_finite()), "{name}: {key:?}");
            operands += 1;
        }
        let inputs = recorder.0.keys().filter(|(_, part)| matches!(part, Part::Input(_))).count();
        assert_eq!(inputs, operands, "{name}: inputs of tensors that are no operand");
    }
}

#[test]
fn inputs_and_keys_agree_with_the_parts_before_them() {
    for (name, model) in families() {
        let bytes = model.pack(Format::Int8, KvType::Int8);
        let config = *Image::new(&bytes).unwrap().config();
        let mut recorder = Recorder::default();
        run(&bytes, &mut recorder);
        for layer in 0..config.encoder_layers + config.layers {
            let pair = |before, role| (recorder.0.get(&(layer, before)), recorder.0.get(&(layer, Part::Input(role))));
            let (heads, attn_out) = pair(Part::Heads, Role::AttnOut);
            assert!(heads == attn_out && heads.is_some(), "{name}, layer {layer}");
            let (neurons, mlp_down) = pair(Part::Neurons, Role::MlpDown);
            assert!(neurons == mlp_down && neurons.is_some(), "{name}, layer {layer}");
            let tokens = recorder.rows(layer, Part::Input(Role::Qkv));
            assert_eq!(recorder.rows(layer, Part::Keys), tokens, "{name}, layer {layer}");
            assert_eq!(recorder.0[&(layer, Part::Keys)].0, config.kv_dim() as usize, "{name}, layer {layer}");
            assert_eq!(recorder.rows(layer, Part::CrossKeys), recorder.rows(layer, Part::Input(Role::CrossKv)), "{name}, layer {layer}");
        }
    }
}

#[test]
fn observing_changes_no_bit() {
    for (name, model) in families() {
        let bytes = model.pack_mixed(KvType::Int8);
        assert_eq!(run(&bytes, &mut Recorder::default()), run(&bytes, &mut ()), "{name}");
    }
}
