//! Standard output and standard error.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::args::{Access, Color, Output};
use super::reach::Trouble;
use super::show::{Style, plain};
use crate::{cli, yaml};

/// Colours, if they are wanted and can be seen (<https://no-color.org>).
pub fn style(access: &Access) -> Style {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let colour = match access.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb,
    };
    Style { colour }
}

/// Writes to standard output.
pub fn out(text: &str) -> Result<(), Trouble> {
    cli::print(text).map_err(|error| Trouble::new("standard output", error.to_string(), "see where it is sent to"))
}

/// A line for whoever sits there, not for what reads the output.
pub fn note(text: &str) {
    let lines: Vec<String> = text.lines().map(plain).collect();
    // If nobody can be told, nobody can be told of it.
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
}

/// For machines in the format they want, else for people.
pub fn answer<T: Serialize>(access: &Access, value: &T, text: impl FnOnce(Style) -> String) -> Result<(), Trouble> {
    let broken = |error: String| Trouble::new("the answer", error, "report this");
    match access.output {
        None => out(&text(style(access))),
        Some(Output::Json) => {
            let json = serde_json::to_string_pretty(value).map_err(|error| broken(error.to_string()))?;
            out(&format!("{json}\n"))
        }
        Some(Output::Yaml) => out(&yaml::to_string(value).map_err(|error| broken(error.to_string()))?),
    }
}
