//! Properties of the quantizers, over sizes without common divisors.

use attoformer_tools::quantize::{Format, Matrix, Quantized, Rounding, Values, int4, quantize};
use proptest::prelude::*;

const GROUPS: [u32; 4] = [32, 64, 128, 0];

fn matrices() -> impl Strategy<Value = (usize, Vec<f32>)> {
    (1_usize..150, 1_usize..4).prop_flat_map(|(columns, rows)| {
        let value = prop_oneof![8 => -2.0_f32..2.0, 1 => Just(0.0), 1 => -100.0_f32..100.0];
        (Just(columns), prop::collection::vec(value, rows * columns))
    })
}

/// The quantized matrix and its dequantized values.
fn rounded(columns: usize, values: &[f32], format: Format) -> (Quantized, Vec<f32>) {
    let quantized = quantize(Matrix { columns, values }, format, Rounding::NEAREST);
    let back = quantized.dequantize();
    assert_eq!(back.len(), values.len());
    (quantized, back)
}

fn squared_error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (*a as f64 - *b as f64).powi(2)).sum()
}

proptest! {
    #[test]
    fn int8_errors_are_at_most_half_a_step((columns, values) in matrices()) {
        let (quantized, back) = rounded(columns, &values, Format::Int8);
        let Values::Int8(integers) = &quantized.values else { panic!("not int8") };
        prop_assert!(integers.iter().all(|&q| q > -128));
        for (row, (original, back)) in values.chunks(columns).zip(back.chunks(columns)).enumerate() {
            let step = quantized.row_scales[row];
            for (a, b) in original.iter().zip(back) {
                prop_assert!((a - b).abs() <= step * 0.5001);
            }
        }
    }

    #[test]
    fn int4_is_no_worse_than_plain_rounding((columns, values) in matrices(), group in prop::sample::select(&GROUPS)) {
        let (quantized, back) = rounded(columns, &values, Format::Int4 { group });
        let Values::Int4(integers) = &quantized.values else { panic!("not int4") };
        prop_assert!(integers.iter().all(|q| (-8..=7).contains(q)));
        // Plain rounding: each group's absmax at 7, scales on the same grid.
        let group = if group == 0 { columns } else { group as usize };
        let mut plain = Vec::new();
        for row in values.chunks(columns) {
            let largest = |values: &[f32]| values.iter().fold(0.0_f32, |largest, value| value.abs().max(largest));
            let unit = largest(row) / 7.0 / 127.0;
            let groups = row.chunks(group).map(|values| if unit > 0.0 { (largest(values) / 7.0 / unit).ceil().min(127.0) as i8 } else { 0 });
            let scales = int4::Scales { row: unit, groups: groups.collect() };
            let integers: Vec<i8> = int4::round(row, group, &scales).collect();
            plain.extend(integers.iter().enumerate().map(|(k, &q)| (q as i32 * scales.groups[k / group] as i32) as f32 * unit));
        }
        // The search uses another unit than plain rounding, which costs small groups resolution: a group's scale, one of 127 steps, is off by at
        // most half a step, 1/254 of the largest scale, and 4e-5 is more than twice the square of that.
        let norm: f64 = values.iter().map(|value| (*value as f64).powi(2)).sum();
        prop_assert!(squared_error(&values, &back) <= squared_error(&values, &plain) * 1.02 + norm * 4e-5);
    }

    #[test]
    fn f16_rounds_to_nearest((columns, values) in matrices()) {
        let (_, back) = rounded(columns, &values, Format::F16);
        for (a, b) in values.iter().zip(&back) {
            prop_assert!((a - b).abs() <= a.abs() / 2048.0 + 3.0e-8);
        }
    }
}

#[test]
fn f32_changes_nothing() {
    let values = [1.0, -0.0, f32::MIN_POSITIVE, 3.4e38];
    let (quantized, back) = rounded(2, &values, Format::F32);
    assert_eq!(back.map_bits(), values.to_vec().map_bits());
    assert_eq!(quantized.relative_error(Matrix { columns: 2, values: &values }), 0.0);
}

trait MapBits {
    fn map_bits(&self) -> Vec<u32>;
}

impl MapBits for Vec<f32> {
    fn map_bits(&self) -> Vec<u32> {
        self.iter().map(|value| value.to_bits()).collect()
    }
}

#[test]
fn f16_saturates() {
    let (_, back) = rounded(3, &[1e9, -1e9, 65504.0], Format::F16);
    assert_eq!(back, [65504.0, -65504.0, 65504.0]);
}

#[test]
fn zero_rows_stay_zero() {
    for format in [Format::Int8, Format::F16, Format::Int4 { group: 32 }, Format::Int4 { group: 0 }] {
        let mut values = vec![0.0; 3 * 40];
        values[45] = 0.5;
        let (quantized, back) = rounded(40, &values, format);
        assert!(back.iter().enumerate().all(|(at, &value)| (value != 0.0) == (at == 45)), "{format}");
        assert!(quantized.relative_error(Matrix { columns: 40, values: &values }) < 0.01, "{format}");
        assert_eq!(rounded(40, &[0.0; 40], format).0.relative_error(Matrix { columns: 40, values: &[0.0; 40] }), 0.0);
    }
}

#[test]
fn extreme_rows_have_finite_scales() {
    for magnitude in [1e-44, 1e-38, 1e-30, 1e30, 1e38] {
        let values: Vec<f32> = (0..70).map(|k| magnitude * (k as f32 / 35.0 - 1.0)).collect();
        for format in [Format::Int8, Format::Int4 { group: 32 }, Format::Int4 { group: 0 }] {
            let (quantized, back) = rounded(70, &values, format);
            assert!(quantized.row_scales.iter().all(|scale| scale.is_finite()), "{format} {magnitude}");
            assert!(back.iter().all(|value| value.is_finite()), "{format} {magnitude}");
            let error = quantized.relative_error(Matrix { columns: 70, values: &values });
            assert!(error < 0.1 || magnitude < 1e-30, "{format} {magnitude}: {error}");
        }
    }
}

#[test]
fn formats_parse_their_own_display() {
    for text in ["f32", "f16", "int8", "int4:32", "int4:64", "int4:128", "int4:row"] {
        assert_eq!(text.parse::<Format>().unwrap().to_string(), text);
    }
    assert!("int5".parse::<Format>().is_err());
    assert!("int4:33".parse::<Format>().is_err());
}
