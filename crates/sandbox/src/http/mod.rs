//! Http: requests and answers, in the form in which a Kubernetes client sends and wants them.
//!
//! ```text
//! request ─▶ fault? ─▶ who asks ─▶ route ─▶ discovery · openapi · read · write · watch ─▶ answer
//! ```

mod accept;
mod answer;
mod discovery;
mod openapi;
mod query;
mod read;
mod review;
mod route;
mod table;
mod watch;
mod write;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body as HttpBody;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Caller, Target};
use crate::audit::{self, Audit, Request as Asked};
use crate::fault::{Faults, Verdict};
use crate::rbac::Access;
use crate::status::Status;
use crate::tokens::Tokens;
use accept::Accept;
pub use answer::Body;
pub(crate) use discovery::rank;
use query::Query;
pub(crate) use route::Route;

/// The largest body of a request, in bytes, as a real server has it.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// The API over HTTP, for a server or for a client in the same process.
///
/// `kube::Client::new(cluster.service(), "default")` needs neither a port nor a certificate.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) shared: Arc<Shared>,
    /// Who asks if the request does not say; none refuses it.
    pub(crate) anonymous: Option<Arc<Caller>>,
}

/// What all requests share.
pub(crate) struct Shared {
    pub api: Arc<Api>,
    pub faults: Faults,
    pub audit: Audit,
    /// Bearer tokens with those who have them.
    pub tokens: Tokens,
    /// Ends every watch.
    pub stop: CancellationToken,
}

/// A request that has been read.
pub(crate) struct Call {
    pub method: Method,
    pub query: Query,
    pub accept: Accept,
    pub content_type: String,
    pub body: Bytes,
    pub caller: Caller,
}

// === impl Shared ===

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Tokens are never printed.
        f.debug_struct("Shared")
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

// === impl Service ===

impl Service {
    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let asked = self.asked(&request);
        let response = self.respond(request).await;
        self.shared.audit.record(Asked {
            code: response.status().as_u16(),
            ..asked
        });
        response
    }

    /// What the audit says of a request that is not answered yet.
    fn asked<B>(&self, request: &Request<B>) -> Asked {
        let uri = request.uri();
        let path = route::decoded(uri.path()).unwrap_or_default();
        let route = route::find(&self.shared.api, &path).ok();
        let watches = Query::parse(uri.query().unwrap_or_default()).flag("watch");
        let caller = self.caller(&header_of(request.headers(), &header::AUTHORIZATION));
        Asked {
            verb: audit::verb(request.method(), route.as_ref(), watches).to_owned(),
            uri: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            user: caller.map(|caller| caller.user).unwrap_or_default(),
            user_agent: header_of(request.headers(), &header::USER_AGENT),
            code: 0,
        }
    }

    async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(path) = route::decoded(request.uri().path()) else {
            return answer::status(&Status::bad_request("the path is no UTF-8"));
        };
        let verdict = self
            .shared
            .faults
            .judge(request.method(), &path, &self.shared.api.clock)
            .await;
        match verdict {
            Verdict::Pass => {}
            Verdict::Refuse(status) => return answer::status(&status),
            Verdict::Hang => {
                self.shared.stop.cancelled().await;
                return answer::status(&Status::new(
                    503,
                    "ServiceUnavailable",
                    "the server is shutting down",
                ));
            }
        }
        let call = match self.read(request).await {
            Ok(call) => call,
            Err(status) => return answer::status(&status),
        };
        match self.route(&path, call) {
            Ok(response) => response,
            Err(status) => answer::status(&status),
        }
    }

    async fn read<B>(&self, request: Request<B>) -> Result<Call, Status>
    where
        B: HttpBody + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let text = |name: header::HeaderName| header_of(&parts.headers, &name);
        let mut caller = self.caller(&text(header::AUTHORIZATION))?;
        let agent = text(header::USER_AGENT);
        agent
            .split('/')
            .next()
            .unwrap_or_default()
            .clone_into(&mut caller.manager);
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let accept = Accept::parse(&text(header::ACCEPT), &query)?;
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(|_| too_large())?
            .to_bytes();
        let content_type = text(header::CONTENT_TYPE)
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        Ok(Call {
            method: parts.method,
            query,
            accept,
            content_type,
            body,
            caller,
        })
    }

    fn caller(&self, authorization: &str) -> Result<Caller, Status> {
        if let Some(token) = authorization.strip_prefix("Bearer ") {
            if let Some(caller) = self.shared.tokens.caller(&self.shared.api, token.trim()) {
                return Ok(caller);
            }
        } else if let Some(caller) = &self.anonymous {
            return Ok(Caller::clone(caller));
        }
        Err(Status::new(401, "Unauthorized", "Unauthorized"))
    }

    fn route(&self, path: &str, call: Call) -> Result<Response<Body>, Status> {
        let api = &self.shared.api;
        let route = route::find(api, path)?;
        self.authorize(path, &route, &call)?;
        match route {
            Route::Nowhere => Ok(answer::not_found()),
            Route::Text(text) => Ok(answer::text(text)),
            Route::Version => Ok(answer::json(200, &discovery::version())),
            Route::Document(document) => discovery::document(api, &document, &call),
            Route::OpenApi(document) => openapi::document(api, &document, &call),
            Route::Collection(target) => match call.method {
                Method::GET if call.query.flag("watch") => watch::watch(&self.shared, &target, &call),
                Method::GET => read::list(api, &target, &call),
                Method::POST => write::create(api, &target, &call),
                Method::DELETE => write::delete_collection(api, &target, &call),
                _ => Err(Status::method_not_allowed()),
            },
            Route::Object(target) => match call.method {
                Method::GET if call.query.flag("watch") => watch::watch(&self.shared, &target, &call),
                Method::GET => read::get(api, &target, &call),
                Method::PUT => write::update(api, &target, &call),
                Method::PATCH => write::patch(api, &target, &call),
                Method::DELETE => write::delete(api, &target, &call),
                Method::POST if target.subresource == "token" => self.issue(&target, &call),
                Method::POST => write::post_below(api, &target, &call),
                _ => Err(Status::method_not_allowed()),
            },
        }
    }

    /// Refuses what the caller may not do.
    fn authorize(&self, path: &str, route: &Route, call: &Call) -> Result<(), Status> {
        let api = &self.shared.api;
        let verb = audit::verb(&call.method, Some(route), call.query.flag("watch"));
        let mut asked = vec![access(path, route, verb)];
        if let Route::Object(target) = route
            && call.content_type == "application/apply-patch+yaml"
            && api.read(&target.kind, &target.namespace, &target.name).is_err()
        {
            // An apply of what is not there makes it.
            asked.push(access(path, route, "create"));
        }
        match asked.iter().find(|one| !one.is_allowed(api, &call.caller)) {
            None => Ok(()),
            Some(refused) => Err(refused.refused(&call.caller)),
        }
    }

    fn issue(&self, target: &Target, call: &Call) -> Result<Response<Body>, Status> {
        let request = serde_json::from_slice(&call.body).unwrap_or_default();
        let issued = self.shared.tokens.issue(&self.shared.api, target, request)?;
        Ok(answer::json(201, &issued))
    }
}

impl<B> tower_service::Service<Request<B>> for Service
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.answer(request).await) })
    }
}

/// What a request wants to do.
fn access(path: &str, route: &Route, verb: &str) -> Access {
    let verb = verb.to_owned();
    let (Route::Collection(target) | Route::Object(target)) = route else {
        return Access {
            verb,
            path: path.to_owned(),
            ..Access::default()
        };
    };
    let mut resource = target.kind.plural.clone();
    if !target.subresource.is_empty() {
        resource = format!("{resource}/{}", target.subresource);
    }
    let is_namespace = target.kind.group.is_empty() && target.kind.plural == "namespaces";
    Access {
        verb,
        path: String::new(),
        group: target.kind.group.clone(),
        resource,
        // A namespace is in itself.
        namespace: if is_namespace {
            &target.name
        } else {
            &target.namespace
        }
        .clone(),
        name: target.name.clone(),
    }
}

fn header_of(headers: &http::HeaderMap, name: &header::HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn too_large() -> Status {
    Status::new(
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
    )
}

#[cfg(test)]
mod tests;
