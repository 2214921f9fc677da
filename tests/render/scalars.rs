//! Scalars: values and keys on which readers and printers of YAML like to disagree, as source text.

use super::random::Random;

const PLAIN: [&str; 58] = [
    "a",
    "web",
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "n",
    "true",
    "False",
    "\"on\"",
    "'yes'",
    "\"true\"",
    "~",
    "null",
    "\"null\"",
    "''",
    "\"\"",
    "0",
    "1",
    "-1",
    "+1",
    "007",
    "08",
    "0o17",
    "0x1F",
    "0b101",
    "1_000",
    "12e03",
    "1e3",
    "1.0",
    "1.50",
    "\"1.50\"",
    "-0",
    "1e-7",
    ".5",
    "5.",
    "12345678.9",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "190:20:30",
    "1:30",
    "2020-01-01",
    "2020-01-01T10:00:00Z",
    "'2020-01-01'",
    "!!str 1",
    "'a: b'",
    "'a #b'",
    "a#b",
    "x y",
    "=",
    "<<",
    "'- a'",
    "\"?\"",
    "é",
    "'%x'",
    "'!x'",
];

/// What strings are put together from.
const FRAGMENTS: [&str; 30] = [
    "a",
    "word",
    "another",
    "kubernetes",
    " ",
    " ",
    " ",
    "  ",
    "\n",
    "\n",
    "\t",
    ": ",
    " #",
    "'",
    "\"",
    "\\",
    "é",
    "日本",
    "😀",
    "\u{a0}",
    "\u{2028}",
    "\u{feff}",
    "\u{7}",
    "-",
    "...",
    "---",
    "0",
    "{",
    "$(VAR)",
    "%",
];

const KEYS: [&str; 19] = [
    "a",
    "a2",
    "a10",
    "A",
    "B",
    "b",
    "_u",
    "key.dots",
    "key-dash",
    "app.kubernetes.io/name",
    "\"on\"",
    "\"y\"",
    "'a b'",
    "file.txt",
    "z",
    "é",
    "'a: b'",
    "c1",
    "c01x",
];

/// Any scalar.
pub fn scalar(random: &mut Random) -> String {
    match random.below(10) {
        0..6 => random.pick(&PLAIN).to_owned(),
        6..9 => quoted(&string(random), random),
        _ => string_value(random),
    }
}

/// A scalar that is a string whichever version of YAML reads it.
pub fn string_value(random: &mut Random) -> String {
    let simple = [
        "a",
        "web",
        "some text",
        "\"on\"",
        "'1'",
        "\"0x1\"",
        "\"~\"",
        "v1.2",
        "'2020-01-01'",
        "\"\"",
        "é",
    ];
    match random.below(4) {
        0 => quoted(&string(random), random),
        _ => random.pick(&simple).to_owned(),
    }
}

/// A key of a mapping.
pub fn key(random: &mut Random) -> String {
    // A key that looks like no string fails at the end of a build: rare, for the rest of the case is wasted then.
    match random.below(800) {
        0 => random
            .pick(&[
                "1",
                "true",
                "~",
                "1.5",
                "\"2020-01-01\"",
                "\"1\"",
                "\"true\"",
                "\"null\"",
            ])
            .to_owned(),
        _ => random.pick(&KEYS).to_owned(),
    }
}

/// The content of a string: short, long enough to be folded, of several lines, with characters to be escaped.
pub fn string(random: &mut Random) -> String {
    let count = match random.below(4) {
        0 => random.below(60),
        _ => random.below(8),
    };
    let is_wild = random.percent(60);
    let mut text = String::new();
    for _ in 0..count {
        text.push_str(if is_wild {
            random.pick(&FRAGMENTS)
        } else {
            random.pick(&FRAGMENTS[..7])
        });
    }
    text
}

/// A string in double quotes, escaped as far as it must be, or further.
pub fn quoted(text: &str, random: &mut Random) -> String {
    let is_ascii = random.percent(50);
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' | '\u{a0}' | '\u{2028}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)))
            }
            '\u{80}'.. if is_ascii => out.push_str(&format!("\\U{:08x}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}
