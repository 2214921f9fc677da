//! Seat: one environment's Lease, seen and tended by one process.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;

use super::decide::{Seen, Share, Step, Times, decide};
use super::leader::{Leader, Reading};
use crate::live::ENVIRONMENT_LABEL;
use crate::model::EnvName;
use crate::record::{NAMESPACE, config_map_name};
use crate::world::cluster::{Cluster, ClusterError, FIELD_MANAGER};

/// The annotation by which a process asks the holder of a Lease to hand it over.
const WANTED_BY: &str = "gitsync.dev/wanted-by";

/// One environment's Lease, as this process knows it.
pub struct Seat {
    environment: EnvName,
    me: String,
    times: Times,
    lease: Option<Lease>,
    /// When the holder or its renewal was last seen to change.
    changed: Instant,
    leader: Option<Leader>,
}

/// What came of one turn.
#[derive(Debug, Clone)]
pub enum Turn {
    /// This process leads.
    Leading(Leader),
    /// This process leads, and was asked to hand over when it has finished what it is doing.
    Asked,
    /// Somebody else leads, or nobody yet.
    Following {
        /// Who; empty when nobody does.
        holder: String,
        /// Whether this process has asked for it.
        asking: bool,
    },
}

// === impl Seat ===

impl Seat {
    /// The seat of an environment, for the process called `me`. Nothing is asked yet.
    #[must_use]
    pub fn new(environment: EnvName, me: String, times: Times) -> Self {
        Self {
            environment,
            me,
            times,
            lease: None,
            changed: Instant::now(),
            leader: None,
        }
    }

    /// Looks at the Lease if it is not this process's, and does the next step about it: at most two requests.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked. Whether this process still leads, its [`Leader`] says.
    pub async fn turn(&mut self, cluster: &Cluster, share: Share) -> Result<Turn, ClusterError> {
        if self.leader.is_none() || self.lease.is_none() {
            self.look(cluster).await?;
        }
        let sent = Reading::now();
        match decide(self.seen().as_ref(), &self.me, share) {
            Step::Create => self.create(cluster, sent).await,
            Step::Take | Step::Renew => self.hold(cluster, sent).await,
            Step::HandOver => {
                // It is kept alive until what is being done has ended.
                self.hold(cluster, sent).await.map(|turn| match turn {
                    Turn::Leading(_) => Turn::Asked,
                    other => other,
                })
            }
            Step::Ask => {
                let mut wanted = self.lease.clone().unwrap_or_default();
                let annotations = wanted.metadata.annotations.get_or_insert_default();
                annotations.insert(WANTED_BY.to_owned(), self.me.clone());
                self.write(cluster, wanted).await?;
                Ok(self.following())
            }
            Step::Wait => Ok(self.following()),
        }
    }

    /// Gives the Lease up, so that the next one need not wait for its end. Nothing is written after it.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked; then the Lease ends by itself.
    pub async fn release(&mut self, cluster: &Cluster) -> Result<(), ClusterError> {
        let Some(leader) = self.leader.take() else {
            return Ok(());
        };
        leader.end();
        let Some(mut lease) = self.lease.take() else {
            return Ok(());
        };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        match self.write(cluster, lease).await {
            // Somebody asked for it in the meantime; what they wrote is read, and released as well.
            Ok(false) => {
                self.look(cluster).await?;
                match self.lease.take() {
                    Some(mut lease) if holder(&lease) == self.me => {
                        lease.spec.get_or_insert_default().holder_identity = Some(String::new());
                        self.write(cluster, lease).await.map(drop)
                    }
                    _ => Ok(()),
                }
            }
            other => other.map(drop),
        }
    }

    /// Forgets that this process led; its proof is void from now on.
    pub fn abandon(&mut self) {
        if let Some(leader) = self.leader.take() {
            leader.end();
        }
        self.lease = None;
    }

    async fn look(&mut self, cluster: &Cluster) -> Result<(), ClusterError> {
        let found = cluster
            .bounded(
                self.limit(),
                self.api(cluster).get_opt(&config_map_name(&self.environment)),
            )
            .await?;
        self.remember(found);
        Ok(())
    }

    async fn create(&mut self, cluster: &Cluster, sent: Reading) -> Result<Turn, ClusterError> {
        let labels = [
            (
                "app.kubernetes.io/managed-by".to_owned(),
                FIELD_MANAGER.to_owned(),
            ),
            (ENVIRONMENT_LABEL.to_owned(), self.environment.to_string()),
        ];
        let mut lease = Lease {
            metadata: ObjectMeta {
                name: Some(config_map_name(&self.environment)),
                namespace: Some(NAMESPACE.to_owned()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            },
            ..Lease::default()
        };
        self.sign(&mut lease);
        let params = PostParams::default();
        let api = self.api(cluster);
        let mut made = cluster.bounded(self.limit(), api.create(&params, &lease)).await;
        if matches!(&made, Err(ClusterError::Api(status)) if status.code == 404) {
            cluster.make_namespace().await?;
            made = cluster.bounded(self.limit(), api.create(&params, &lease)).await;
        }
        match made {
            Ok(made) => {
                self.remember(Some(made));
                Ok(self.leading(sent))
            }
            // Somebody else was faster.
            Err(ClusterError::Api(status)) if status.code == 409 => Ok(self.following()),
            Err(error) => Err(error),
        }
    }

    /// Renews, or takes what nobody keeps.
    async fn hold(&mut self, cluster: &Cluster, sent: Reading) -> Result<Turn, ClusterError> {
        let mut lease = self.lease.clone().unwrap_or_default();
        self.sign(&mut lease);
        if self.write(cluster, lease).await? {
            return Ok(self.leading(sent));
        }
        // Somebody wrote since: the next leader, or one who asks.
        self.look(cluster).await?;
        if self.lease.as_ref().map(holder) == Some(self.me.as_str()) && self.leader.is_some() {
            let mut lease = self.lease.clone().unwrap_or_default();
            self.sign(&mut lease);
            if self.write(cluster, lease).await? {
                return Ok(self.leading(sent));
            }
        }
        if self.lease.as_ref().map(holder) != Some(self.me.as_str()) {
            self.leader.take().inspect(Leader::end);
        }
        Ok(self.following())
    }

    /// Writes the Lease over the one that was read; false when somebody else wrote since.
    async fn write(&mut self, cluster: &Cluster, lease: Lease) -> Result<bool, ClusterError> {
        let name = config_map_name(&self.environment);
        let params = PostParams::default();
        let request = self.api(cluster);
        match cluster
            .bounded(self.limit(), request.replace(&name, &params, &lease))
            .await
        {
            Ok(written) => {
                self.remember(Some(written));
                Ok(true)
            }
            Err(ClusterError::Api(status)) if matches!(status.code, 404 | 409) => {
                self.lease = None;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn sign(&self, lease: &mut Lease) {
        let now = MicroTime(Timestamp::now());
        let was_mine = holder(lease) == self.me;
        let LeaseSpec {
            holder_identity,
            lease_duration_seconds,
            renew_time,
            acquire_time,
            lease_transitions,
            ..
        } = lease.spec.get_or_insert_default();
        if !was_mine {
            *acquire_time = Some(now.clone());
            *lease_transitions = Some(lease_transitions.map_or(0, |count| count + 1));
            *holder_identity = Some(self.me.clone());
            if let Some(annotations) = &mut lease.metadata.annotations {
                annotations.remove(WANTED_BY);
            }
        }
        *lease_duration_seconds = Some(i32::try_from(self.times.lease.as_secs()).unwrap_or(i32::MAX));
        *renew_time = Some(now);
    }

    fn remember(&mut self, lease: Option<Lease>) {
        let key = |lease: &Option<Lease>| {
            let spec = lease
                .as_ref()
                .and_then(|lease| lease.spec.clone())
                .unwrap_or_default();
            (spec.holder_identity, spec.renew_time, spec.lease_transitions)
        };
        if key(&lease) != key(&self.lease) {
            self.changed = Instant::now();
        }
        self.lease = lease;
    }

    fn seen(&self) -> Option<Seen> {
        let lease = self.lease.as_ref()?;
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let lasts = seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.times.lease, Duration::from_secs);
        Some(Seen {
            holder: holder(lease).to_owned(),
            wanted_by: lease
                .metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(WANTED_BY).cloned()),
            unchanged: self.changed.elapsed(),
            // What another process with other flags wrote is honoured, and never shortened.
            lasts: lasts.max(self.times.lease),
        })
    }

    fn leading(&mut self, sent: Reading) -> Turn {
        let leader = match self.leader.take() {
            // A term that had run out, and was then renewed: nobody else held the Lease in between.
            Some(leader) => {
                leader.renew(sent);
                leader
            }
            None => Leader::elected(self.times, sent),
        };
        self.leader = Some(leader.clone());
        Turn::Leading(leader)
    }

    fn following(&self) -> Turn {
        let seen = self.seen();
        Turn::Following {
            asking: seen
                .as_ref()
                .is_some_and(|seen| seen.wanted_by.as_deref() == Some(self.me.as_str())),
            holder: seen.map(|seen| seen.holder).unwrap_or_default(),
        }
    }

    /// How long one request may take: two of them fit before the term ends.
    fn limit(&self) -> Duration {
        self.times.renew_deadline / 2
    }

    fn api(&self, cluster: &Cluster) -> Api<Lease> {
        Api::namespaced(cluster.client().clone(), NAMESPACE)
    }
}

fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref();
    spec.and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default()
}
