//! Places: where a check's load goes, and where it is sent from.

use std::time::Duration as Span;

use super::super::context::Context;
use super::super::failure::Failure;
use super::CheckArgs;
use super::stop::{INTERRUPTED, NOT_READY, Stop, WRONG_CONFIGURATION};
use super::subject::Subject;
use crate::config::load_check::ServiceRef;
use crate::config::load_check::plan::{Base, Plan};
use crate::config::repository::{Config, Environment};
use crate::problem::{Problem, chain};
use crate::world::cluster::Cluster;
use crate::world::cluster::service::{Resolved, Seat, resolve, resolve_from};
use crate::world::load::Origins;

/// Where a check's load goes, and where it is sent from.
pub(super) struct Places {
    pub(super) origins: Origins,
    /// The cluster and the namespace of the pods that send the load, where it is distributed.
    pub(super) pods: Option<(Cluster, String)>,
    /// Ways through an API server, which are open as long as these are kept.
    _open: Vec<Resolved>,
}

/// Finds the target, the baseline and, for a distributed check, the cluster of its pods.
pub(super) async fn places(
    context: &Context,
    args: &CheckArgs,
    subject: &Subject,
    plan: &Plan,
) -> Result<Result<Places, Stop>, Failure> {
    let distributed = subject.spec.distribution.is_some();
    let bases = [Some(&plan.base), plan.baseline.as_ref()];
    let services = bases
        .iter()
        .flatten()
        .any(|base| matches!(base, Base::Service(_)));
    let mut near = None;
    if services || distributed {
        near = match Near::find(context, args, subject, plan).await? {
            Ok(near) => Some(near),
            Err(stop) => return Ok(Err(stop)),
        };
    }
    let mut open = Vec::new();
    let mut origins = Vec::new();
    for base in bases.into_iter().flatten() {
        match (base, &near) {
            (Base::Origin(origin), _) => origins.push(origin.clone()),
            (Base::Service(service), Some(near)) => {
                match near.resolve(context, service, plan.wait_ready, distributed).await {
                    Ok(found) => {
                        origins.push(found.base_url.clone());
                        open.push(found);
                    }
                    Err(stop) => return Ok(Err(stop)),
                }
            }
            (Base::Service(_), None) => unreachable!("because the cluster of a Service is found above"),
        }
    }
    let mut origins = origins.into_iter();
    Ok(Ok(Places {
        origins: Origins {
            target: origins.next().unwrap_or_default(),
            baseline: origins.next(),
        },
        pods: near
            .filter(|_| distributed)
            .map(|near| (near.cluster, near.namespace)),
        _open: open,
    }))
}

/// The cluster of a check's environment, and the namespace of its Service there.
struct Near {
    cluster: Cluster,
    namespace: String,
}

impl Near {
    async fn find(
        context: &Context,
        args: &CheckArgs,
        subject: &Subject,
        plan: &Plan,
    ) -> Result<Result<Self, Stop>, Failure> {
        let with_hint = |failure: Failure| {
            failure.hint("gitsync check --url URL needs neither a repository nor a cluster")
        };
        let checkout = context.checkout().await.map_err(with_hint)?;
        let environment = match environment(checkout.config(), args.env.as_deref(), &subject.name) {
            Ok(environment) => environment,
            Err(stop) => return Ok(Err(stop)),
        };
        let cluster = context.cluster(environment).await?;
        let service = match &plan.base {
            Base::Service(service) => Some(service),
            Base::Origin(_) => None,
        };
        let namespace = match service.and_then(|service| service.namespace.clone()) {
            Some(namespace) => namespace,
            None => {
                let desired = checkout.render(environment).await?;
                let is_it = |object: &&manifest::Manifest| {
                    object.gvk().kind == "Service"
                        && service.is_some_and(|service| object.name() == service.name)
                };
                let rendered = desired
                    .objects
                    .iter()
                    .find(is_it)
                    .map(|object| object.namespace().to_owned());
                rendered
                    .filter(|name| !name.is_empty())
                    .unwrap_or_else(|| cluster.default_namespace().to_owned())
            }
        };
        Ok(Ok(Self { cluster, namespace }))
    }

    /// The address of a Service, as seen from here, or from the pods that send the load.
    async fn resolve(
        &self,
        context: &Context,
        service: &ServiceRef,
        limit: Span,
        from_pods: bool,
    ) -> Result<Resolved, Stop> {
        let (client, namespace) = (self.cluster.client(), &self.namespace);
        let found = if from_pods {
            resolve_from(Seat::Inside, client, namespace, service, limit, &context.cancel).await
        } else {
            resolve(client, namespace, service, limit, &context.cancel).await
        };
        found.map_err(|error| Stop {
            code: match error.may_pass() {
                _ if context.cancel.is_cancelled() => INTERRUPTED,
                true => NOT_READY,
                false => WRONG_CONFIGURATION,
            },
            text: chain(&error),
            hints: vec![error.hint()],
        })
    }
}

/// The environment that was named, else the one from which a promotion leads that has the check as a gate.
fn environment<'a>(config: &'a Config, named: Option<&str>, check: &str) -> Result<&'a Environment, Stop> {
    let configuration = |problem: Problem| Stop::configuration(problem.to_string(), Vec::new());
    if let Some(name) = named {
        return config.environment(name).map_err(configuration);
    }
    let gates = config
        .promotions
        .values()
        .filter(|promotion| promotion.gates.iter().any(|gate| gate == check));
    let mut from: Vec<&str> = gates.map(|promotion| promotion.from.as_str()).collect();
    from.sort_unstable();
    from.dedup();
    match from.as_slice() {
        [name] => config.environment(name).map_err(configuration),
        _ => Err(Stop::configuration(
            "which environment has the check's Service is not clear".to_owned(),
            vec!["gitsync check --env NAME, or --url URL".to_owned()],
        )),
    }
}
