//! The application: what answers behind a Service, as the images that are ready there would.
//!
//! A request goes to one ready endpoint after the other, as EndpointSlices tell them; the image of that endpoint's pod
//! says how it is answered (see [`super::tags`]). Without a ready endpoint the answer is 503.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::tags::{Behaviour, tag_of};

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Requests so far, by the tag of the image that answered; the empty tag counts those that none could answer.
pub type Counts = BTreeMap<String, u64>;

/// What stands behind one Service.
pub struct App {
    namespace: String,
    service: String,
    slices: Store<EndpointSlice>,
    pods: Store<Pod>,
    turn: AtomicUsize,
    counts: Mutex<Counts>,
}

// === impl App ===

impl App {
    /// The application behind a Service, without any requests yet.
    pub fn new(namespace: &str, service: &str, slices: Store<EndpointSlice>, pods: Store<Pod>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            slices,
            pods,
            turn: AtomicUsize::new(0),
            counts: Mutex::default(),
        }
    }

    /// The requests that have arrived.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers whoever connects, until the future is dropped; connections end with it.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    // Small answers would otherwise wait for the client's acknowledgement.
                    drop(stream.set_nodelay(true));
                    let app = self.clone();
                    connections.spawn(async move {
                        let service = service_fn(move |request| app.clone().answer(request));
                        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                        // A client that goes away in the middle is its own business.
                        drop(connection.await);
                    });
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let images = self.ready_images();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let Some(image) = images.get(turn % images.len().max(1)) else {
            self.count("");
            return Ok(response(
                StatusCode::SERVICE_UNAVAILABLE,
                "no ready endpoint\n".to_owned(),
            ));
        };
        self.count(tag_of(image));
        let answer = Behaviour::of_image(image).answer();
        tokio::time::sleep(answer.after).await;
        let status = StatusCode::from_u16(answer.status).expect("because the table has legal status codes");
        Ok(response(
            status,
            format!("{} from {image}\n", request.uri().path()),
        ))
    }

    /// The image of the first container of each ready endpoint, in a stable order.
    fn ready_images(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .slices
            .state()
            .iter()
            .filter(|slice| slice.namespace().as_deref() == Some(&self.namespace))
            .filter(|slice| slice.labels().get(SERVICE_NAME) == Some(&self.service))
            .flat_map(|slice| slice.endpoints.clone())
            .filter(|endpoint| {
                endpoint
                    .conditions
                    .as_ref()
                    .is_some_and(|conditions| conditions.ready == Some(true))
            })
            .filter_map(|endpoint| endpoint.target_ref?.name)
            .collect();
        names.sort_unstable();
        names
            .into_iter()
            .filter_map(|name| self.pods.get(&ObjectRef::new(&name).within(&self.namespace)))
            .filter_map(|pod| pod.spec.as_ref()?.containers.first()?.image.clone())
            .collect()
    }

    fn count(&self, tag: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(tag.to_owned()).or_default() += 1;
    }
}

fn response(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
