//! `fieldglow indices`

use fieldglow::product::indices;
use fieldglow::scene::Role;

use super::{Outcome, print, print_json};

/// Arguments of `indices`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those that these bands suffice for, such as `B,G,R`.
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    bands: Vec<Role>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let suffices = |row: &&indices::Row| args.bands.is_empty() || row.bands.iter().all(|b| args.bands.contains(b));
    let rows: Vec<&indices::Row> = indices::catalog().iter().filter(suffices).collect();
    if args.json {
        return print_json(&rows);
    }
    let mut out = String::new();
    for row in rows {
        let constants: Vec<String> = row.constants.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let constants = if constants.is_empty() { String::new() } else { format!("  ({})", constants.join(", ")) };
        line!(out, "{:<10} {:<8} {}{constants}", row.key, if row.scaled { "int16" } else { "float32" }, row.formula);
        line!(out, "{:<19} {}", "", row.name);
    }
    print(&out)
}
