//! The table of the targets.

use comfy_table::{CellAlignment, Table, presets};

use crate::summary::Spread;
use crate::targets::Target;

pub fn print(targets: &[Target]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["figure", "target", "measured", "min", "max", "reached"]);
    for target in targets {
        let end = |end: fn(Spread) -> f64| target.found.map_or("–".into(), |it| short(end(it)));
        let reached = match target.reached {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not measured",
        };
        table.add_row([
            target.figure.clone(),
            target.wanted.clone(),
            end(|it| it.median),
            end(|it| it.min),
            end(|it| it.max),
            reached.to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{table}");
}

fn short(value: f64) -> String {
    if value.abs() < 100.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}
