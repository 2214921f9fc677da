//! Fence: every request of a client that changes something asks the leader's proof first, so no caller can forget it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::{Method, Request};
use tower::{BoxError, Layer, Service};

use super::{Deposed, Leader};

/// Puts a fence around a client's service.
#[derive(Debug, Clone)]
pub struct FenceLayer(pub Leader);

/// A service that refuses to change anything without the proof.
#[derive(Debug, Clone)]
pub struct Fence<S> {
    inner: S,
    leader: Leader,
}

impl<S> Layer<S> for FenceLayer {
    type Service = Fence<S>;

    fn layer(&self, inner: S) -> Fence<S> {
        Fence {
            inner,
            leader: self.0.clone(),
        }
    }
}

impl<S, B> Service<Request<B>> for Fence<S>
where
    S: Service<Request<B>, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Box::pin(self.inner.call(request));
        }
        match self.leader.check() {
            Err(deposed) => Box::pin(async move { Err(deposed.into()) }),
            Ok(None) => Box::pin(self.inner.call(request)),
            Ok(Some(limit)) => {
                let answer = tokio::time::timeout(limit, self.inner.call(request));
                Box::pin(async move { answer.await.unwrap_or_else(|_| Err(Deposed.into())) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::world::lease::Times;
    use crate::world::lease::leader::Reading;

    #[tokio::test]
    async fn a_deposed_leader_reads_and_changes_nothing() {
        let passed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&passed);
        let inner = tower::service_fn(move |_: Request<()>| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok::<_, BoxError>(()))
        });
        let leader = Leader::elected(Times::default(), Reading::now());
        let mut fence = FenceLayer(leader.clone()).layer(inner);
        let methods = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        for (deposed, reads) in [(false, 5), (true, 6)] {
            if deposed {
                leader.end();
            }
            for method in &methods {
                let request = Request::builder().method(method).body(()).unwrap();
                let answer = fence.call(request).await;
                assert_eq!(answer.is_ok(), !deposed || method == Method::GET, "{method}");
            }
            assert_eq!(passed.load(Ordering::Relaxed), reads);
        }
    }
}
