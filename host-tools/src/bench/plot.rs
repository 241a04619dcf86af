//! Plot of CPU time and memory over the sequence length; both axes are logarithmic.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

use super::scaling::{Curve, Point};
use crate::error::Error;
use crate::files;

const SIZE: (u32, u32) = (960, 420);
/// Colours that are distinguishable with colour vision deficiency (Okabe and Ito 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

/// One of the two plots.
struct Panel {
    title: &'static str,
    value: fn(&Point) -> f64,
    label: fn(&f64) -> String,
}

/// A plot that cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// No curve has a positive value.
    #[error("there is nothing to plot")]
    Empty,
    /// The drawing backend fails.
    #[error("the plot cannot be drawn: {0}")]
    Backend(String),
}

/// Writes the curves to an SVG file.
///
/// # Errors
/// [`PlotError`] or [`Error::Io`] with the file.
pub fn write(path: &Path, curves: &[Curve]) -> Result<(), Error> {
    let text = svg(curves).map_err(Error::file(path))?;
    files::write_whole(path, |file| file.write_all(text.as_bytes()).map_err(Error::io(path)))
}

/// Plots the curves as SVG text.
///
/// # Errors
/// [`PlotError`].
pub fn svg(curves: &[Curve]) -> Result<String, PlotError> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    let time = Panel { title: "CPU time, seconds", value: |point| point.seconds, label: decimal };
    let memory = Panel { title: "arena, bytes", value: |point| point.arena_bytes as f64, label: |&x| thousandfold(x) };
    let backend = |error: &dyn std::error::Error| PlotError::Backend(error.to_string());
    area.fill(&WHITE).map_err(|error| backend(&error))?;
    draw(&left, &time, curves)?;
    draw(&right, &memory, curves)?;
    area.present().map_err(|error| backend(&error))?;
    drop((left, right, area));
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(area: &Area<'_>, panel: &Panel, curves: &[Curve]) -> Result<(), PlotError> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let lengths = log_range(points().map(|point| point.tokens as f64), 2.0).ok_or(PlotError::Empty)?;
    let values = log_range(points().map(panel.value), 10.0).ok_or(PlotError::Empty)?;
    draw_in(area, panel, curves, lengths, values).map_err(|error| PlotError::Backend(error.to_string()))
}

fn draw_in(
    area: &Area<'_>,
    panel: &Panel,
    curves: &[Curve],
    lengths: Range<f64>,
    values: Range<f64>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 16))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(lengths.log_scale().base(2.0), values.log_scale())?;
    mesh(&mut chart, panel)?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let line: Vec<(f64, f64)> = curve.points.iter().map(|point| (point.tokens as f64, (panel.value)(point))).collect();
        chart.draw_series(line.iter().map(|&at| Circle::new(at, 3, colour.filled())))?;
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).label_font(("sans-serif", 13)).draw()?;
    Ok(())
}

fn mesh<'a, 'b, X, Y>(
    chart: &mut ChartContext<'b, SVGBackend<'a>, Cartesian2d<X, Y>>,
    panel: &Panel,
) -> Result<(), Box<dyn std::error::Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    'a: 'b,
{
    let tokens = |x: &f64| format!("{x:.0}");
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT).bold_line_style(RGBColor(225, 225, 225)).label_style(("sans-serif", 13));
    mesh.x_desc("tokens").x_labels(8).y_labels(8).x_label_formatter(&tokens).y_label_formatter(&panel.label).draw()?;
    Ok(())
}

/// The range from the power of `base` below the smallest value to the one above the largest.
fn log_range(values: impl Iterator<Item = f64>, base: f64) -> Option<Range<f64>> {
    let bounds = values.filter(|value| *value > 0.0).fold(None, |bounds: Option<(f64, f64)>, value| {
        let (least, largest) = bounds.unwrap_or((value, value));
        Some((least.min(value), largest.max(value)))
    });
    let (least, largest) = bounds?;
    let (low, high) = (least.log(base).floor(), largest.log(base).ceil());
    Some(base.powf(low)..base.powf(if high > low { high } else { low + 1.0 }))
}

/// Formats seconds with as few digits as needed.
fn decimal(x: &f64) -> String {
    if *x >= 1.0 { format!("{x:.0}") } else { format!("{x}") }
}

/// Formats bytes in the largest decimal unit that fits.
fn thousandfold(x: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    units.iter().find(|(unit, _)| x >= *unit).map_or_else(|| format!("{x:.0} B"), |(unit, name)| format!("{:.0} {name}", x / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_names_its_curves_and_lengths() {
        let point = |tokens: usize| Point { tokens, seconds: 1e-6 * tokens as f64, best_seconds: 0.0, arena_bytes: 1000 + tokens };
        let curve = |name: &str| Curve { name: name.to_owned(), points: [256, 1024, 4096, 16_384].map(point).to_vec() };
        let text = svg(&[curve("full"), curve("linear")]).unwrap();
        for part in ["<svg", "</svg>", "full", "linear", "tokens", "256", "16384", "kB"] {
            assert!(text.contains(part), "{part}");
        }
        assert_eq!(svg(&[]), Err(PlotError::Empty));
    }

    #[test]
    fn a_range_holds_its_values() {
        assert_eq!(log_range([256.0, 1000.0].into_iter(), 2.0), Some(256.0..1024.0));
        assert_eq!(log_range([8.0].into_iter(), 2.0), Some(8.0..16.0));
        assert_eq!(log_range([0.0].into_iter(), 2.0), None);
    }
}
