//! The target of a load check: an address, or a Service that has to be resolved.

use super::Problems;
use crate::config::load_check::TargetSpec;
use crate::config::load_check::plan::Base;

/// The base and the path of the target; a wrong one gives a placeholder beside the problem.
pub(super) fn target(spec: &TargetSpec, problems: &mut Problems) -> (Base, String) {
    let path = spec.path.clone().unwrap_or_else(|| "/".to_owned());
    if let Some(problem) = path_problem(&path) {
        problems.add("/target/path", problem, "write it as /health?full=1");
    }
    check_tls(spec, problems);
    match (&spec.service, &spec.url) {
        (Some(service), None) => {
            if service.name.is_empty() {
                problems.add(
                    "/target/service",
                    "the Service has no name".into(),
                    "write its metadata.name",
                );
            }
            (Base::Service(service.clone()), path)
        }
        (None, Some(url)) => match split_url(url) {
            Ok((_, inside)) if inside != "/" && spec.path.is_some() => {
                let message = format!("the url has the path {inside} already");
                problems.add("/target/path", message, "keep one of them");
                (Base::Origin(url.clone()), path)
            }
            Ok((origin, inside)) => {
                let path = if inside == "/" { path } else { inside };
                (Base::Origin(origin), path)
            }
            Err(message) => {
                problems.add("/target/url", message, "write it as http://host:port/path");
                (Base::Origin(url.clone()), path)
            }
        },
        (Some(service), Some(_)) => {
            problems.add(
                "/target",
                "both service and url are set".into(),
                "keep one of them",
            );
            (Base::Service(service.clone()), path)
        }
        (None, None) => {
            problems.add(
                "/target",
                "neither service nor url is set".into(),
                "write for example service: my-service",
            );
            (Base::Origin(String::new()), path)
        }
    }
}

fn check_tls(spec: &TargetSpec, problems: &mut Problems) {
    let Some(tls) = &spec.tls else { return };
    if spec.url.as_deref().is_some_and(|url| url.starts_with("http://")) {
        problems.add(
            "/target/tls",
            "tls has no effect on an http address".into(),
            "write https, or remove it",
        );
    }
    let is_certificate = |text: &String| text.contains("-----BEGIN CERTIFICATE-----");
    if tls
        .ca_certificates
        .as_ref()
        .is_some_and(|text| !is_certificate(text))
    {
        let hint = "paste the file that begins with -----BEGIN CERTIFICATE-----";
        problems.add(
            "/target/tls/caCertificates",
            "there is no certificate in it".into(),
            hint,
        );
    }
    if tls.server_name.as_deref() == Some("") {
        problems.add(
            "/target/tls/serverName",
            "the name is empty".into(),
            "write for example shop.example",
        );
    }
}

/// A URL as its origin (`http://host:port`) and its path with query.
pub(super) fn split_url(url: &str) -> Result<(String, String), String> {
    let quoted = |problem: &str| format!("`{url}` {problem}");
    let (scheme, rest) = url.split_once("://").ok_or_else(|| quoted("has no scheme"))?;
    if !matches!(scheme, "http" | "https") {
        return Err(quoted("is neither http nor https"));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        // The URL is not quoted: what stands before the @ is a credential.
        return Err("the url has a user in it; send an Authorization header instead".to_owned());
    }
    let host =
        authority.rsplit_once(':').map_or(
            authority,
            |(host, port)| {
                if port.contains(']') { authority } else { host }
            },
        );
    // `undefined` and `null` are what an unset variable becomes in the script that wrote the URL.
    if matches!(host, "" | "undefined" | "null" | "<pending>" | "<none>") {
        return Err(quoted("has no host: is the variable that should give it empty?"));
    }
    let port = authority[host.len()..].strip_prefix(':');
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err(quoted("has a port that is not a number from 1 to 65535"));
    }
    if path.contains('#') {
        return Err(quoted("has a fragment, which is never sent"));
    }
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    if let Some(problem) = path_problem(&path) {
        return Err(problem);
    }
    if authority.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(quoted("has blanks in it"));
    }
    Ok((format!("{scheme}://{authority}"), path))
}

pub(super) fn path_problem(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return Some(format!("the path `{path}` does not begin with a slash"));
    }
    let wrong = |c: char| c.is_whitespace() || c.is_control() || !c.is_ascii() || c == '#';
    path.contains(wrong)
        .then(|| format!("the path `{path}` has a character in it that must be percent-encoded"))
}
