//! Route: what a path means.

use crate::api::{Api, Target};
use crate::status::Status;

/// What a path means.
pub(crate) enum Route {
    /// Nothing: neither a path of the API nor of anything else.
    Nowhere,
    /// A plain word: the health checks.
    Text(&'static str),
    /// `/version`.
    Version,
    /// A discovery document.
    Document(Document),
    /// `/openapi/…`: the rest of the path.
    OpenApi(String),
    /// Objects of a kind.
    Collection(Target),
    /// An object, or something below it.
    Object(Target),
}

/// A discovery document.
pub(crate) enum Document {
    /// `/api`.
    Core,
    /// `/apis`.
    Groups,
    /// `/apis/apps`.
    Group(String),
    /// `/apis/apps/v1`, or `/api/v1`.
    Version(String, String),
    /// `/`.
    Paths,
}

/// What leads into a container, of which there are none.
const STREAMS: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// The path without its escapes.
pub(crate) fn decoded(path: &str) -> Option<String> {
    super::query::decode(path)
}

/// Finds what a path means.
///
/// # Errors
/// 404 if it means nothing.
pub(crate) fn find(api: &Api, path: &str) -> Result<Route, Status> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => Ok(Route::Document(Document::Paths)),
        ["healthz" | "readyz" | "livez", ..] => Ok(Route::Text("ok")),
        ["version"] => Ok(Route::Version),
        ["openapi", rest @ ..] => Ok(Route::OpenApi(rest.join("/"))),
        ["api"] => Ok(Route::Document(Document::Core)),
        ["api", version] => Ok(Route::Document(Document::Version(
            String::new(),
            (*version).to_owned(),
        ))),
        ["api", version, rest @ ..] => resource(api, "", version, rest),
        ["apis"] => Ok(Route::Document(Document::Groups)),
        ["apis", group] => Ok(Route::Document(Document::Group((*group).to_owned()))),
        ["apis", group, version] => Ok(Route::Document(Document::Version(
            (*group).to_owned(),
            (*version).to_owned(),
        ))),
        ["apis", group, version, rest @ ..] => resource(api, group, version, rest),
        _ => Ok(Route::Nowhere),
    }
}

fn resource(api: &Api, group: &str, version: &str, parts: &[&str]) -> Result<Route, Status> {
    // `namespaces/web/pods` is a path of pods, `namespaces/web/status` one of the namespace itself.
    if let ["namespaces", namespace, plural, rest @ ..] = parts
        && let Some(kind) = api.registry.find(group, version, plural)
        && kind.namespaced
    {
        return below(api, group, version, plural, namespace, rest);
    }
    match parts {
        [plural, rest @ ..] => below(api, group, version, plural, "", rest),
        [] => Err(Status::no_such_resource()),
    }
}

fn below(
    api: &Api,
    group: &str,
    version: &str,
    plural: &str,
    namespace: &str,
    rest: &[&str],
) -> Result<Route, Status> {
    let kind = api
        .registry
        .find(group, version, plural)
        .ok_or_else(Status::no_such_resource)?;
    let target = |name: &str, subresource: &str| Target {
        kind: kind.clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
    };
    match rest {
        [] => Ok(Route::Collection(target("", ""))),
        _ if kind.namespaced && namespace.is_empty() => Err(Status::no_such_resource()),
        [name] => Ok(Route::Object(target(name, ""))),
        [name, subresource] if kind.subresource(subresource).is_some() => {
            Ok(Route::Object(target(name, subresource)))
        }
        [_, stream, ..] if group.is_empty() && STREAMS.contains(stream) => Err(no_containers(stream)),
        _ => Err(Status::no_such_resource()),
    }
}

/// 501: there is no container to reach.
fn no_containers(stream: &str) -> Status {
    let message = format!(
        "a sandbox runs no containers, so there is no {stream}: ask the pods at the address of a LoadBalancer Service, \
         or read their logs"
    );
    Status::new(501, "NotImplemented", message)
}
