//! Subject: the load check that was asked for, and what the command line says instead.

use std::path::Path;

use super::super::context::Context;
use super::super::failure::Failure;
use super::CheckArgs;
use super::stop::Stop;
use crate::config::document;
use crate::config::load_check::LoadCheckSpec;
use crate::config::script::bundle::Bundle;
use crate::problem::{Problem, Problems};

/// The load check that was asked for, and where it comes from.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) spec: LoadCheckSpec,
}

/// The load check that the arguments name.
pub(super) async fn subject(context: &Context, args: &CheckArgs) -> Result<Result<Subject, Stop>, Failure> {
    if let Some(file) = &args.file {
        return Ok(from_file(file, args.name.as_deref()));
    }
    match (&args.url, &args.name) {
        // An address alone is enough, as it is for other load generators.
        (Some(url), None) => Ok(Ok(Subject {
            name: url.clone(),
            spec: LoadCheckSpec::for_url(url),
        })),
        (_, name) => {
            let checkout = context.checkout().await?;
            let checks = &checkout.config().load_checks;
            let found = checks.iter().map(|(name, spec)| Subject {
                name: name.clone(),
                spec: spec.clone(),
            });
            Ok(choose(found.collect(), name.as_deref(), "the repository"))
        }
    }
}

fn from_file(file: &Path, name: Option<&str>) -> Result<Subject, Stop> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| Stop::configuration(format!("{shown} cannot be read: {error}"), Vec::new()))?;
    let wrong = |problems| Stop::configuration(Problems(problems).to_string(), Vec::new());
    let mut found = Vec::new();
    for raw in document::read(&shown, &text).map_err(wrong)? {
        if raw.kind == "LoadCheck" {
            let mut located = raw.typed::<LoadCheckSpec>().map_err(wrong)?;
            if let Some(script) = located.document.spec.script.clone() {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let bundle = Bundle::gather(&name, &script, |path| read_beside(file, path));
                let place = |problem| located.problem(&["spec", "script"], problem);
                let bundle = bundle.map_err(|problems| wrong(problems.into_iter().map(place).collect()))?;
                located.document.spec.bundle = Some(bundle);
            }
            let problems: Vec<Problem> = located
                .document
                .spec
                .validate()
                .into_iter()
                .map(|invalid| {
                    let pointer = format!("spec{}", invalid.pointer);
                    let path: Vec<String> = pointer.split('/').map(unescape).collect();
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    let problem = located.problem(&path, invalid.message);
                    invalid
                        .hint
                        .iter()
                        .fold(problem, |problem, hint| problem.hint(hint))
                })
                .collect();
            if !problems.is_empty() {
                return Err(wrong(problems));
            }
            found.push(Subject {
                name: located.name().to_owned(),
                spec: located.document.spec,
            });
        }
    }
    choose(found, name, &shown)
}

/// A file in the directory of another one, or below; `None` when it is not there.
fn read_beside(file: &Path, path: &str) -> Result<Option<String>, String> {
    let path = file.parent().unwrap_or(Path::new("")).join(path);
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// A key as it stands in a document (RFC 6901).
fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn choose(mut found: Vec<Subject>, name: Option<&str>, place: &str) -> Result<Subject, Stop> {
    let names: Vec<String> = found.iter().map(|subject| subject.name.clone()).collect();
    let position = match name {
        Some(name) => names.iter().position(|known| known == name),
        None => (names.len() == 1).then_some(0),
    };
    if let Some(position) = position {
        return Ok(found.swap_remove(position));
    }
    let listed = names.join(", ");
    Err(match (name, names.len()) {
        (_, 0) => Stop::configuration(
            format!("{place} has no LoadCheck"),
            vec![
                "gitsync schema LoadCheck says what one looks like; gitsync check --url URL needs none"
                    .to_owned(),
            ],
        ),
        (Some(name), _) => Stop::configuration(
            format!("{place} has no load check `{name}`, only {listed}"),
            Vec::new(),
        ),
        (None, _) => Stop::configuration(
            format!("{place} has several load checks: {listed}"),
            vec![format!("gitsync check --name {}", names[0])],
        ),
    })
}

// === impl Subject ===

impl Subject {
    /// The same with what the arguments say instead.
    pub(super) fn changed_by(mut self, args: &CheckArgs) -> Self {
        let spec = &mut self.spec;
        spec.mode = args.mode.unwrap_or(spec.mode);
        if let Some(url) = &args.url {
            spec.target.service = None;
            spec.target.url = Some(url.clone());
            // An address with a path of its own says where to send to.
            let own_path = url
                .split_once("://")
                .is_some_and(|(_, rest)| rest.trim_end_matches('/').contains('/'));
            if own_path {
                spec.target.path = None;
            }
        }
        if args.vus.is_some() || args.duration.is_some() || args.iterations.is_some() {
            // As in k6, options of the command line replace what would contradict them.
            spec.scenarios.clear();
            spec.stages.clear();
            spec.vus = args.vus.or(spec.vus);
        }
        if args.duration.is_some() {
            (spec.duration, spec.iterations) = (args.duration, None);
        }
        if args.iterations.is_some() {
            (spec.duration, spec.iterations) = (None, args.iterations);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::duration::Duration;

    fn mk_args(arguments: &[&str]) -> CheckArgs {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            args: CheckArgs,
        }
        let arguments = ["check"].iter().chain(arguments);
        <Program as clap::Parser>::try_parse_from(arguments).unwrap().args
    }

    fn mk_subject(spec: &str) -> Subject {
        Subject {
            name: "acceptance".to_owned(),
            spec: serde_yaml::from_str(spec).unwrap(),
        }
    }

    #[test]
    fn options_replace_what_the_check_says() {
        let spec = "target: {service: web, path: /health}\nvus: 10\nduration: 10s\n";
        for (arguments, vus, duration, iterations, path) in [
            (&[][..], Some(10), Some(10), None, Some("/health")),
            (&["-u", "3"], Some(3), Some(10), None, Some("/health")),
            (&["-d", "5s"], Some(10), Some(5), None, Some("/health")),
            (&["-i", "70"], Some(10), None, Some(70), Some("/health")),
            (
                &["--url", "http://a:1"],
                Some(10),
                Some(10),
                None,
                Some("/health"),
            ),
            (&["--url", "http://a:1/x"], Some(10), Some(10), None, None),
        ] {
            let changed = mk_subject(spec).changed_by(&mk_args(arguments)).spec;
            assert_eq!(changed.vus, vus, "{arguments:?}");
            assert_eq!(
                changed.duration,
                duration.map(Duration::from_secs),
                "{arguments:?}"
            );
            assert_eq!(changed.iterations, iterations, "{arguments:?}");
            assert_eq!(changed.target.path.as_deref(), path, "{arguments:?}");
            assert_eq!(changed.validate(), [], "{arguments:?}");
        }
    }

    #[test]
    fn one_of_several_checks_has_to_be_named() {
        let several = || {
            vec![
                mk_subject("target: {url: 'http://a'}"),
                Subject {
                    name: "smoke".to_owned(),
                    ..mk_subject("target: {url: 'http://b'}")
                },
            ]
        };
        assert_eq!(
            choose(several(), Some("smoke"), "the repository")
                .ok()
                .map(|found| found.name),
            Some("smoke".to_owned())
        );
        for (name, says) in [
            (None, "several load checks: acceptance, smoke"),
            (Some("x"), "no load check `x`"),
        ] {
            let stop = choose(several(), name, "the repository").err().unwrap();
            assert!(stop.text.contains(says), "{}", stop.text);
            assert_eq!(stop.code, 104);
        }
        assert!(
            choose(Vec::new(), None, "a.yaml")
                .err()
                .unwrap()
                .text
                .contains("has no LoadCheck")
        );
    }

    #[test]
    fn a_wrong_file_is_told_with_its_lines() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("check.yaml");
        std::fs::write(
            &file,
            "apiVersion: gitsync.dev/v1alpha1\nkind: LoadCheck\nmetadata:\n  name: a\nspec:\n  target:\n    url: http://a\n  \
             vus: 0\n  thresholds:\n    http_req_duration:\n      - p90<600\n",
        )
        .unwrap();
        let stop = from_file(&file, None).err().unwrap();
        assert_eq!(stop.code, 104);
        for part in ["check.yaml:8", "check.yaml:11", "write p(90)"] {
            assert!(stop.text.contains(part), "{part}: {}", stop.text);
        }
    }
}
