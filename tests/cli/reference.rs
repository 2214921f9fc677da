//! docs/reference.md, which is written from the code: every command's help, the exit codes, and the kinds.
//!
//! `GITSYNC_UPDATE_DOCS=1 cargo test --test main cli::reference` writes it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use gitsync::cli::Cli;
use gitsync::config::schema::{KINDS, of_kind};
use serde_json::Value;

#[test]
fn the_reference_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let mut page = String::from(
        "# Reference\n\nWritten from the code by `GITSYNC_UPDATE_DOCS=1 cargo test --test main cli::reference`.\n\
         [Metrics, Events and logs](metrics.md) have a page of their own. So has [what k6 scripts may use](k6-scripts.md).\n",
    );
    exit_codes(&mut page);
    kinds(&mut page);
    page += "\n## Commands\n\nEvery command also has the [global options](#global-options).\n";
    let command = Cli::command().term_width(100);
    global_options(&mut page, &command);
    commands(&mut page, &command, "gitsync");
    if std::env::var_os("GITSYNC_UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let first = written.lines().zip(page.lines()).position(|(a, b)| a != b);
    assert!(
        written == page,
        "docs/reference.md is out of date from line {} on; GITSYNC_UPDATE_DOCS=1 writes it",
        first.unwrap_or_default() + 1
    );
}

fn exit_codes(page: &mut String) {
    let help = Cli::command().get_after_help().unwrap().to_string();
    *page += "\n## Exit codes\n\n| code | meaning |\n|---|---|\n";
    for line in help.lines().skip(1) {
        let line = line.trim();
        match line.split_once("  ") {
            Some((code, meaning)) => writeln!(page, "| {code} | {} |", meaning.trim()).unwrap(),
            None => writeln!(page, "\n{line}.").unwrap(),
        }
    }
}

fn commands(page: &mut String, command: &Command, name: &str) {
    for sub in command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        let name = format!("{name} {}", sub.get_name());
        if sub.has_subcommands() {
            commands(page, sub, &name);
            continue;
        }
        let mut shown = sub.clone().bin_name(&name).disable_help_flag(true);
        let help = shown.render_long_help().to_string();
        let help = help
            .trim_end()
            .lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n");
        write!(page, "\n### {name}\n\n```text\n{help}\n```\n").unwrap();
    }
}

fn global_options(page: &mut String, command: &Command) {
    *page += "\n### Global options\n\n| option | variable | |\n|---|---|---|\n";
    for argument in command
        .get_arguments()
        .filter(|argument| argument.is_global_set())
    {
        let long = argument.get_long().unwrap_or_default();
        let variable = argument
            .get_env()
            .map(|name| format!("`{}`", name.to_string_lossy()));
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let value = argument.get_value_names().and_then(|names| names.first());
        let value = value
            .filter(|_| argument.get_action().takes_values())
            .map(|value| format!(" {}", value.replace('|', "\\|")))
            .unwrap_or_default();
        writeln!(
            page,
            "| `--{long}{value}` | {} | {} |",
            variable.unwrap_or_default(),
            help.replace('|', "\\|")
        )
        .unwrap();
    }
}

fn kinds(page: &mut String) {
    *page += "\n## Kinds\n\nAll have `apiVersion: gitsync.dev/v1alpha1`. `gitsync schema KIND` prints the JSON Schema.\n";
    for kind in KINDS {
        let schema = of_kind(kind).unwrap();
        write!(page, "\n### {kind}\n\n| field | type | |\n|---|---|---|\n").unwrap();
        let spec = resolve(&schema, &schema["properties"]["spec"]);
        fields(page, &schema, spec, "spec", 0);
    }
}

fn fields(page: &mut String, root: &Value, of: &Value, path: &str, depth: usize) {
    let required = of["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in of["properties"].as_object().into_iter().flatten() {
        let resolved = resolve(root, property);
        let text = |schema: &Value| schema["description"].as_str().map(str::to_owned);
        let described = text(property).or_else(|| text(resolved)).unwrap_or_default();
        let described = described.replace('\n', " ").replace('|', "\\|");
        let default = match &property["default"] {
            Value::Null => String::new(),
            value => format!(" Default: `{}`.", value.to_string().replace('|', "\\|")),
        };
        let needed = if required.iter().any(|needed| needed == name) {
            "required. "
        } else {
            ""
        };
        let path = format!("{path}.{name}");
        writeln!(
            page,
            "| `{path}` | {} | {needed}{described}{default} |",
            kind_of(root, property)
        )
        .unwrap();
        if depth < 4 {
            let items = resolve(root, &resolved["items"]);
            fields(page, root, resolved, &path, depth + 1);
            fields(page, root, items, &format!("{path}[]"), depth + 1);
        }
    }
}

/// A schema behind its reference; of several forms, the one that is not null.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut at = schema;
    for _ in 0..8 {
        let next = match at["$ref"]
            .as_str()
            .and_then(|path| root.pointer(path.trim_start_matches('#')))
        {
            Some(next) => Some(next),
            None => at["anyOf"].as_array().and_then(|forms| {
                let real: Vec<&Value> = forms.iter().filter(|form| form["type"] != "null").collect();
                (real.len() == 1).then(|| real[0])
            }),
        };
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

fn kind_of(root: &Value, schema: &Value) -> String {
    let schema = resolve(root, schema);
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("`{}`", value.as_str().unwrap_or("null")))
            .collect();
        return values.join(", ");
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", kind_of(root, &schema["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|kind| *kind != "null")
                .collect();
            kinds.join(" or ")
        }
        _ => "several forms".to_owned(),
    }
}
