//! Scan: what a script's text names of k6, with its lines, without running it.
//!
//! A function that is not there would be noticed when it is called, in the middle of the load. This reads the imports
//! of the text and the members of what they bind, so that it is noticed before.

/// A name in a script's text that is not supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The line, from 1.
    pub line: usize,
    /// What is not supported.
    pub what: String,
}

/// The modules that are supported, with the names of their exports.
pub const MODULES: [(&str, &[&str]); 7] = [
    ("k6", &["check", "group", "sleep", "fail", "randomSeed"]),
    (
        "k6/http",
        &[
            "get",
            "head",
            "post",
            "put",
            "patch",
            "del",
            "options",
            "request",
            "batch",
            "url",
            "expectedStatuses",
            "setResponseCallback",
            "cookieJar",
            "CookieJar",
            "Response",
        ],
    ),
    ("k6/metrics", &["Counter", "Gauge", "Rate", "Trend"]),
    ("k6/data", &["SharedArray"]),
    ("k6/execution", &["scenario", "instance", "test", "vu"]),
    ("k6/encoding", &["b64encode", "b64decode"]),
    ("k6/crypto", &["sha256", "hmac"]),
];

/// The exports of a module of k6, if it is supported.
#[must_use]
pub fn exports(module: &str) -> Option<&'static [&'static str]> {
    MODULES
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, names)| *names)
}

/// Whether a module is found in a file.
#[must_use]
pub fn is_local(module: &str) -> bool {
    module.starts_with("./")
        || module.starts_with("../")
        || module.starts_with('/')
        || module.starts_with("file://")
}

/// Whether the text is an ECMAScript module, and not a CommonJS one.
#[must_use]
pub fn is_module(source: &str) -> bool {
    let code = blank(source, true);
    statements(&code).any(|(_, statement)| {
        let word = |name: &str| {
            statement.strip_prefix(name).is_some_and(|rest| {
                !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.' || c == '(')
            })
        };
        word("import") || word("export")
    }) || !code.contains("exports")
}

/// Everything in the text that is not supported.
#[must_use]
pub fn unsupported(source: &str) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let code = blank(source, true);
    // Texts are blanked in `code` and kept in `source`; both have the same length.
    for import in imports(source, &code) {
        let line = line_of(source, import.at);
        let add = |found: &mut Vec<Unsupported>, line, what: String| found.push(Unsupported { line, what });
        if is_local(&import.module) {
            continue;
        }
        let Some(names) = exports(&import.module) else {
            add(&mut found, line, refusal(&import.module));
            continue;
        };
        for name in import.names.iter().filter(|name| !names.contains(&name.as_str())) {
            add(
                &mut found,
                line,
                format!("`{name}` of the module `{}` is not supported", import.module),
            );
        }
        for namespace in &import.namespaces {
            for (at, member) in members(&code, namespace) {
                if !names.contains(&member.as_str()) && member != "default" {
                    let what = format!(
                        "`{namespace}.{member}` of the module `{}` is not supported",
                        import.module
                    );
                    add(&mut found, line_of(source, at), what);
                }
            }
        }
    }
    found.sort_by_key(|one| one.line);
    found.dedup();
    found
}

/// The local files that the text names: modules that it imports, and what it opens by a literal path. The flag tells
/// whether it is code.
#[must_use]
pub fn local_files(source: &str) -> Vec<(String, bool)> {
    let code = blank(source, true);
    let modules = imports(source, &code)
        .into_iter()
        .map(|import| (import.module, true));
    let opened = code.match_indices("open(").filter_map(|(at, word)| {
        let begin = at + word.len();
        let named = source[begin..].starts_with(['"', '\'', '`']);
        let is_member = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.' || c == '_');
        (named && !is_member)
            .then(|| module_text(source, begin))
            .flatten()
            .map(|path| (path, false))
    });
    modules.filter(|(name, _)| is_local(name)).chain(opened).collect()
}

/// Why a module cannot be imported.
#[must_use]
pub fn refusal(module: &str) -> String {
    if module.starts_with("http://") || module.starts_with("https://") {
        format!("the remote module `{module}` is not loaded: keep a copy beside the script and import that")
    } else {
        format!("the module `{module}` is not supported")
    }
}

struct Import {
    at: usize,
    module: String,
    /// Names that are bound to the whole module.
    namespaces: Vec<String>,
    /// Exports that are named one by one.
    names: Vec<String>,
}

/// Statements by their beginnings: every place after a line break, a semicolon or a brace.
fn statements(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts = std::iter::once(0).chain(
        code.char_indices()
            .filter(|(_, c)| matches!(c, '\n' | ';' | '}' | '{'))
            .map(|(at, c)| at + c.len_utf8()),
    );
    starts.map(move |at| {
        let rest = &code[at..];
        let trimmed = rest.trim_start_matches([' ', '\t', '\r']);
        (at + rest.len() - trimmed.len(), trimmed)
    })
}

fn imports(source: &str, code: &str) -> Vec<Import> {
    let mut found: Vec<Import> = Vec::new();
    for (at, statement) in statements(code) {
        let keyword = ["import", "export"].into_iter().find_map(|word| {
            let rest = statement.strip_prefix(word)?;
            rest.starts_with([' ', '{', '*', '"', '\'', '\n', '\t'])
                .then_some((word, rest))
        });
        let Some((word, rest)) = keyword else { continue };
        let Some(quote) = rest.find(['"', '\'']) else {
            continue;
        };
        let clause = &rest[..quote];
        let is_from = clause.trim_end().ends_with("from");
        let bare = clause.trim().is_empty() && word == "import";
        if !is_from && !bare || clause.contains([';', '=', '(']) {
            continue;
        }
        let begin = at + word.len() + quote;
        found.extend(module_text(source, begin).map(|module| binding(at, clause, module)));
    }
    for (at, _) in code.match_indices("require(") {
        let begin = at + "require(".len();
        if !source[begin..].starts_with(['"', '\''])
            || code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.')
        {
            continue;
        }
        let Some(module) = module_text(source, begin) else {
            continue;
        };
        let before = code[..at].trim_end().trim_end_matches('=').trim_end();
        let name = before
            .rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')
            .next()
            .unwrap_or_default();
        let declared = ["const", "let", "var"]
            .iter()
            .any(|word| before[..before.len() - name.len()].trim_end().ends_with(word));
        found.push(Import {
            at,
            module,
            namespaces: if declared {
                vec![name.to_owned()]
            } else {
                Vec::new()
            },
            names: Vec::new(),
        });
    }
    found
}

/// The text between the quotes at `begin`.
fn module_text(source: &str, begin: usize) -> Option<String> {
    let quote = source[begin..].chars().next()?;
    let rest = &source[begin + 1..];
    rest.find(quote).map(|end| rest[..end].to_owned())
}

/// What the clause between `import` and the module's name binds.
fn binding(at: usize, clause: &str, module: String) -> Import {
    let clause = clause.trim().trim_end_matches("from").trim();
    let (outside, inside) = match clause.split_once('{') {
        Some((outside, inside)) => (outside, inside.trim_end_matches('}')),
        None => (clause, ""),
    };
    let identifier = |text: &str| {
        let name = text
            .trim()
            .trim_start_matches('*')
            .trim()
            .trim_start_matches("as ")
            .trim();
        (!name.is_empty()).then(|| name.to_owned())
    };
    let mut import = Import {
        at,
        module,
        namespaces: outside.split(',').filter_map(identifier).collect(),
        names: Vec::new(),
    };
    for part in inside.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, alias) = part.split_once(" as ").unwrap_or((part, part));
        if name.trim() == "default" {
            import.namespaces.push(alias.trim().to_owned());
        } else {
            import.names.push(name.trim().to_owned());
        }
    }
    import
}

/// The members that the code reads of `namespace`, with their places.
fn members<'a>(code: &'a str, namespace: &'a str) -> impl Iterator<Item = (usize, String)> + 'a {
    code.match_indices(namespace).filter_map(move |(at, _)| {
        let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        if code[..at].ends_with(|c: char| inside(c) || c == '.') {
            return None;
        }
        let rest = code[at + namespace.len()..].trim_start().strip_prefix('.')?;
        let rest = rest.trim_start();
        let end = rest.find(|c: char| !inside(c)).unwrap_or(rest.len());
        (end > 0).then(|| (at, rest[..end].to_owned()))
    })
}

fn line_of(source: &str, at: usize) -> usize {
    source[..at].bytes().filter(|byte| *byte == b'\n').count() + 1
}

/// The text with comments and the insides of quotes replaced by blanks, line breaks kept. Templates keep their text:
/// what stands in `${}` is code.
fn blank(source: &str, texts: bool) -> String {
    let mut code = String::with_capacity(source.len());
    let mut chars = source.char_indices().peekable();
    let put_blank = |code: &mut String, c: char| {
        if c == '\n' {
            code.push(c);
        } else {
            code.extend(std::iter::repeat_n(' ', c.len_utf8()));
        }
    };
    while let Some((at, c)) = chars.next() {
        let rest = &source[at..];
        if rest.starts_with("//") || rest.starts_with("/*") {
            let end = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            };
            put_blank(&mut code, c);
            while chars.peek().is_some_and(|(next, _)| *next < at + end) {
                if let Some((_, c)) = chars.next() {
                    put_blank(&mut code, c);
                }
            }
        } else if texts && (c == '"' || c == '\'') {
            code.push(c);
            let mut escaped = false;
            for (_, inner) in chars.by_ref() {
                if inner == '\n' || inner == c && !escaped {
                    code.push(inner);
                    break;
                }
                escaped = inner == '\\' && !escaped;
                put_blank(&mut code, inner);
            }
        } else {
            code.push(c);
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_named_with_its_line() {
        for (source, want) in [
            ("import http from 'k6/http';\nhttp.get('http://a');", vec![]),
            (
                "import http from 'k6/http';\nhttp.asyncRequest('GET', u);",
                vec![(2, "`http.asyncRequest`")],
            ),
            (
                "// http.nope\nimport http from \"k6/http\";\n'http.nope'; other.http.nope; xhttp.nope",
                vec![],
            ),
            ("import ws from 'k6/ws';", vec![(1, "`k6/ws`")]),
            ("import { check, nope } from 'k6';", vec![(1, "`nope`")]),
            (
                "import {\n  check,\n  nope as x,\n} from 'k6';",
                vec![(1, "`nope`")],
            ),
            (
                "import * as metrics from 'k6/metrics';\n\nnew metrics.Foo('a')",
                vec![(3, "`metrics.Foo`")],
            ),
            (
                "import a from 'https://jslib.k6.io/x.js';",
                vec![(1, "remote module")],
            ),
            ("import a from './a.js';\na.b", vec![]),
            (
                "const http = require('k6/http');\nhttp.file('a')",
                vec![(2, "`http.file`")],
            ),
            ("export { x } from 'k6/browser'", vec![(1, "`k6/browser`")]),
            (
                "import exec, { vu } from 'k6/execution'; exec.test.abort()",
                vec![],
            ),
        ] {
            let found = unsupported(source);
            assert_eq!(found.len(), want.len(), "{source}: {found:?}");
            for (found, (line, what)) in found.iter().zip(want) {
                assert!(
                    found.line == line && found.what.contains(what),
                    "{source}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn modules_and_scripts_are_told_apart() {
        for (source, module) in [
            ("export default function () {}", true),
            ("import 'k6';", true),
            ("exports.default = function () {};", false),
            ("// export default\nmodule.exports.default = () => {};", false),
            ("export const options = {}; let exports;", true),
            ("", true),
        ] {
            assert_eq!(is_module(source), module, "{source}");
        }
    }
}
