//! The plots that the README shows.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::count::Counted;
use crate::output;
use crate::overload::{Curves, Outcome};
use crate::peers::{HELD, OURS};
use crate::place::Engine;
use crate::plan::Way;
use crate::settle::Settled;
use crate::suite::Measured;
use crate::workloads::Kind;

type Line = (String, Vec<(f64, f64)>);

/// A line chart.
struct Picture<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    x_label: &'a dyn Fn(&f64) -> String,
    y_label: &'a dyn Fn(&f64) -> String,
    lines: Vec<Line>,
}

/// Draws all plots that there are results for.
pub fn all(measured: &[Measured], counted: Option<&Counted>, settled: &[Settled]) -> Result<()> {
    let folder = output::plots()?;
    throughput(measured).draw(&folder.join("throughput.svg"))?;
    latency(measured).draw(&folder.join("latency.svg"))?;
    settle(settled).draw(&folder.join("settle.svg"))?;
    if let Some(counted) = counted {
        depth(counted).draw(&folder.join("depth.svg"))?;
    }
    println!("plots are in {}", folder.display());
    Ok(())
}

/// Draws the two curves of the guide.
pub fn overload(curves: &Curves) -> Result<()> {
    let line = |name: &str, outcomes: &[Outcome]| {
        let points = outcomes.iter().map(|it| (it.load, it.useful));
        (name.to_owned(), points.collect())
    };
    let picture = Picture {
        title: "callers that give up after 250 ms, work of 20 ms on 8 sessions",
        x: "asked for, times the capacity",
        y: "answered in time, times the capacity",
        x_label: &|load| format!("{load:.1}"),
        y_label: &|part| format!("{part:.1}"),
        lines: vec![
            line("queue_target 50 ms", &curves.on),
            line("no queue_target", &curves.off),
        ],
    };
    picture.draw(&output::plots()?.join("overload.svg"))
}

const TASKS: [usize; 3] = [1, 8, 64];

fn throughput(measured: &[Measured]) -> Picture<'static> {
    let mut lines: Vec<Line> = Vec::new();
    for (at, tasks) in TASKS.iter().enumerate() {
        let Some(cell) = touch(measured, *tasks) else {
            continue;
        };
        for row in &cell.rows {
            let Some(rate) = row.median(|it| Some(it.per_second)) else {
                continue;
            };
            let point = (at as f64, rate / 1e3);
            match lines.iter_mut().find(|line| line.0 == row.peer) {
                Some(line) => line.1.push(point),
                None => lines.push((row.peer.to_owned(), vec![point])),
            }
        }
    }
    Picture {
        title: "touch on PostgreSQL, TCP",
        x: "tasks",
        y: "thousand transactions per second",
        x_label: &|at| tick(*at, &TASKS),
        y_label: &|rate| format!("{rate:.0}"),
        lines,
    }
}

/// Returns the label at a whole number, and nothing in between.
fn tick(at: f64, labels: &[usize]) -> String {
    let label = labels.get(at.round() as usize);
    let whole = (at - at.round()).abs() < 0.01;
    label
        .filter(|_| whole)
        .map_or(String::new(), usize::to_string)
}

fn latency(measured: &[Measured]) -> Picture<'static> {
    let rows = touch(measured, 64).map_or(&[][..], |cell| &cell.rows);
    let line = |row: &crate::suite::Row| {
        let sample = row.samples.get(row.samples.len() / 2)?;
        let points = curve(&sample.distribution);
        (!points.is_empty()).then(|| (row.peer.to_owned(), points))
    };
    Picture {
        title: "latency of touch on PostgreSQL, TCP, 64 tasks on 16 sessions",
        x: "part of the transactions that took no longer",
        y: "milliseconds",
        x_label: &nines,
        y_label: &power,
        lines: rows.iter().filter_map(line).collect(),
    }
}

fn settle(settled: &[Settled]) -> Picture<'static> {
    let line = |it: &Settled| (format!("{:?}", it.engine), curve(&it.distribution));
    Picture {
        title: "from the drop of a scope until its session is clean, or closed",
        x: "part of the drops that took no longer",
        y: "milliseconds",
        x_label: &nines,
        y_label: &power,
        lines: settled.iter().map(line).collect(),
    }
}

fn depth(counted: &Counted) -> Picture<'static> {
    let line = |name: &str, peer: &str, kinds: &[(f64, Kind)]| {
        let base = counted
            .cost(Kind::Touch, peer)
            .map_or(0.0, |it| it.instructions);
        let point = |&(depth, kind): &(f64, Kind)| {
            let cost = counted.cost(kind, peer)?;
            Some((depth, (cost.instructions - base) / 1e3))
        };
        (name.to_owned(), kinds.iter().filter_map(point).collect())
    };
    let joined = [
        (0.0, Kind::Touch),
        (1.0, Kind::Joined1),
        (3.0, Kind::Joined3),
        (10.0, Kind::Joined10),
    ];
    let nested = [(1.0, Kind::Nested1), (3.0, Kind::Nested3)];
    Picture {
        title: "what more scopes in one transaction cost the client",
        x: "scopes inside of the root scope",
        y: "thousand instructions more than touch",
        x_label: &|depth| format!("{depth:.0}"),
        y_label: &|cost| format!("{cost:.0}"),
        lines: vec![
            line("txn, joined", OURS, &joined),
            line("txn, nested", OURS, &nested),
            line("sqlx, held, nested", HELD, &nested),
        ],
    }
}

fn touch(measured: &[Measured], tasks: usize) -> Option<&Measured> {
    let cells = measured.iter().filter(|it| {
        let cell = &it.cell;
        let there = cell.engine == Engine::Postgres && cell.way == Way::Tcp;
        there && cell.kind == Kind::Touch && cell.size.tasks == tasks
    });
    cells.max_by_key(|it| it.cell.size.sessions)
}

/// Scales a distribution to stretch its tail: nines to the right, powers of ten upwards.
fn curve(distribution: &[(u64, f64)]) -> Vec<(f64, f64)> {
    const MOST_NINES: f64 = 4.0;
    let points = distribution.iter().filter(|(micros, _)| *micros > 0);
    points
        .map(|&(micros, part)| (-(1.0 - part).log10(), (micros as f64 / 1e3).log10()))
        .filter(|point| point.0 <= MOST_NINES)
        .collect()
}

fn nines(at: &f64) -> String {
    match at.round() {
        whole if (at - whole).abs() > 0.01 => String::new(),
        0.0 => "0".to_owned(),
        whole => format!("{}", 1.0 - 10f64.powf(-whole)),
    }
}

fn power(at: &f64) -> String {
    let value = 10f64.powf(*at);
    if value < 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}

impl Picture<'_> {
    fn draw(&self, path: &Path) -> Result<()> {
        self.try_draw(path)
            .map_err(|error| anyhow!("draw {}: {error}", path.display()))
    }

    fn try_draw(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.lines.iter().flat_map(|line| &line.1);
        let (left, right) = range(points().map(|point| point.0));
        let (low, high) = range(points().map(|point| point.1));
        let root = SVGBackend::new(path, (WIDTH + LEGEND, 480)).into_drawing_area();
        root.fill(&WHITE)?;
        let (left_part, legend) = root.split_horizontally(WIDTH);
        let mut chart = ChartBuilder::on(&left_part)
            .caption(self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .build_cartesian_2d(left..right, low.min(0.0)..high)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.15))
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&self.x_label)
            .y_label_formatter(&self.y_label)
            .draw()?;
        for (at, (name, line)) in self.lines.iter().enumerate() {
            let style = style(at);
            let points = line.iter().copied();
            chart.draw_series(LineSeries::new(points.clone(), style))?;
            chart.draw_series(points.map(|point| Circle::new(point, 2, style)))?;
            // Beside the chart, where it covers no line.
            let y = 60 + 20 * i32::try_from(at)?;
            legend.draw(&PathElement::new([(0, y), (18, y)], style))?;
            legend.draw(&Text::new(name.clone(), (24, y - 6), ("sans-serif", 13)))?;
        }
        root.present()?;
        Ok(())
    }
}

/// The width of a chart, and that of its legend beside it, in pixels.
const WIDTH: u32 = 760;
const LEGEND: u32 = 200;

/// Colours that can be told apart on white.
const COLORS: [RGBColor; 10] = [
    RGBColor(230, 25, 75),
    RGBColor(27, 120, 55),
    RGBColor(140, 81, 10),
    RGBColor(0, 130, 200),
    RGBColor(245, 130, 48),
    RGBColor(145, 30, 180),
    RGBColor(1, 149, 159),
    RGBColor(240, 50, 230),
    RGBColor(77, 77, 77),
    RGBColor(153, 153, 153),
];

/// Returns the style of a line. The first one, which is txn, is wider.
fn style(at: usize) -> ShapeStyle {
    let width = if at == 0 { 3 } else { 1 };
    COLORS[at % COLORS.len()].stroke_width(width)
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let values = values.filter(|value| value.is_finite());
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low < high {
        (low, high * 1.02)
    } else {
        (0.0, 1.0)
    }
}
