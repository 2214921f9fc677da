//! Pods: a Job's pods as workers, spoken to through the API server.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess, DeleteParams, ListParams, PostParams, PropagationPolicy};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::job::{CONTAINER, job};
use super::{Link, broken, check as check_with};
use crate::config::load_check::LoadCheckSpec;
use crate::config::load_check::plan::Plan;
use crate::problem::chain;
use crate::verify::progress::Progress;
use crate::world::load::{Checked, LoadError, Origins};

/// The variable that names gitsync's own image.
const IMAGE: &str = "GITSYNC_IMAGE";

/// How long the pods may take to run: an image may have to be pulled.
const START: Duration = Duration::from_secs(180);

/// The pause between two looks at the pods.
const PAUSE: Duration = Duration::from_millis(500);

/// A Job, which is deleted with this.
struct Deployed {
    jobs: Api<Job>,
    name: String,
}

/// Runs a check from the pods of a Job in `namespace`, as many as its `distribution` says.
///
/// # Errors
///
/// When the Job cannot be made, its pods do not run, or one of them ends early.
pub async fn check(
    client: &kube::Client,
    namespace: &str,
    spec: &LoadCheckSpec,
    plan: Plan,
    origins: Origins,
    progress: watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<Checked, LoadError> {
    let image = std::env::var(IMAGE).map_err(|_| {
        broken(format!(
            "distribution needs gitsync's image: set {IMAGE} to the one that the cluster can pull"
        ))
    })?;
    check_from(&image, (client, namespace), spec, plan, origins, progress, cancel).await
}

async fn check_from(
    image: &str,
    (client, namespace): (&kube::Client, &str),
    spec: &LoadCheckSpec,
    plan: Plan,
    origins: Origins,
    progress: watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<Checked, LoadError> {
    let pods = spec
        .distribution
        .as_ref()
        .map_or(1, |distribution| distribution.pods);
    let runs = plan.strict.max_extend + 1;
    let limit = START + plan.wait_ready + (plan.longest() + Duration::from_secs(30)) * runs;
    let deployed = Deployed::create(client, namespace, image, pods, limit).await?;
    let started = tokio::select! {
        started = deployed.workers(client, namespace, pods) => started?,
        () = cancel.cancelled() => return Err(broken("interrupted while its pods started")),
    };
    let links = started.into_iter().map(link).collect::<Option<Vec<Link>>>();
    let links = links.ok_or_else(|| broken("a pod has no streams"))?;
    check_with(spec, plan, origins, links, progress, cancel).await
}

fn link(mut attached: AttachedProcess) -> Option<Link> {
    Some(Link {
        input: Box::new(attached.stdin()?),
        output: Box::new(attached.stdout()?),
        // Dropping it closes the streams.
        keep: Some(Box::new(attached)),
    })
}

fn api(what: &str, error: &kube::Error) -> LoadError {
    broken(format!("{what}: {}", chain(error)))
}

// === impl Deployed ===

impl Deployed {
    async fn create(
        client: &kube::Client,
        namespace: &str,
        image: &str,
        pods: u32,
        limit: Duration,
    ) -> Result<Self, LoadError> {
        let jobs = Api::<Job>::namespaced(client.clone(), namespace);
        let manifest = serde_json::from_value(job(image, pods, limit))
            .map_err(|error| broken(format!("the Job is none: {error}")))?;
        let created = jobs.create(&PostParams::default(), &manifest).await;
        let created = created.map_err(|error| api("the Job of the load check cannot be created", &error))?;
        let name = created.metadata.name.unwrap_or_default();
        Ok(Self { jobs, name })
    }

    /// The streams of all pods, once all run.
    async fn workers(
        &self,
        client: &kube::Client,
        namespace: &str,
        pods: u32,
    ) -> Result<Vec<AttachedProcess>, LoadError> {
        let api_of_pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let names = self.running(&api_of_pods, pods).await?;
        let params = AttachParams::default()
            .container(CONTAINER)
            .stdin(true)
            .stdout(true)
            .stderr(false);
        let attached = names.iter().map(|name| api_of_pods.attach(name, &params));
        let attached = futures::future::try_join_all(attached).await;
        attached.map_err(|error| api("a pod of the load check cannot be attached to", &error))
    }

    async fn running(&self, api_of_pods: &Api<Pod>, pods: u32) -> Result<Vec<String>, LoadError> {
        let mine = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={}", self.name));
        let deadline = Instant::now() + START;
        loop {
            let listed = api_of_pods.list(&mine).await;
            let listed =
                listed.map_err(|error| api("the pods of the load check cannot be listed", &error))?;
            let in_phase = |wanted: &str| {
                let phase = |pod: &&Pod| {
                    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                    phase == Some(wanted)
                };
                let names = listed.items.iter().filter(phase);
                names
                    .filter_map(|pod| pod.metadata.name.clone())
                    .collect::<Vec<String>>()
            };
            if let Some(name) = in_phase("Failed").first() {
                return Err(broken(format!("pod {name} of the load check failed")));
            }
            let running = in_phase("Running");
            if running.len() >= pods as usize {
                return Ok(running);
            }
            if Instant::now() >= deadline {
                let why = format!(
                    "only {} of {pods} pods of Job {} run after {START:?}",
                    running.len(),
                    self.name
                );
                return Err(broken(why));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        let (jobs, name) = (self.jobs.clone(), std::mem::take(&mut self.name));
        // A Job that cannot be deleted ends by its deadline, and is cleared away some minutes later.
        tokio::spawn(async move {
            let params = DeleteParams {
                propagation_policy: Some(PropagationPolicy::Background),
                ..DeleteParams::default()
            };
            if let Err(error) = jobs.delete(&name, &params).await {
                tracing::warn!("Job {name} of a load check stays for a while: {error}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};

    use super::*;
    use crate::verify::judge::LoadOutcome;
    use crate::world::cluster::fake_socket;
    use crate::world::load::fleet::worker;

    /// An API server whose pods are workers of this process; what it was asked is kept.
    async fn cluster(asked: &'static Mutex<Vec<String>>) -> kube::Client {
        let answer = move |method: &str, path: &str| -> Value {
            asked.lock().unwrap().push(format!("{method} {path}"));
            let pod = |name: &str| json!({"metadata": {"name": name}, "status": {"phase": "Running"}});
            match method {
                "GET" => json!({"kind": "PodList", "apiVersion": "v1", "metadata": {},
                    "items": [pod("load-0"), pod("load-1")]}),
                "POST" => {
                    json!({"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "gitsync-load-x"}})
                }
                _ => json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
            }
        };
        fake_socket::api(answer, move |path, socket| async move {
            asked.lock().unwrap().push(format!("ATTACH {path}"));
            let (near, mine) = tokio::io::duplex(1 << 16);
            let (input, output) = tokio::io::split(mine);
            tokio::spawn(async move {
                let cancel = CancellationToken::new();
                worker::serve(input, output, &cancel).await
            });
            fake_socket::carry(socket, near, (0, 1)).await;
        })
        .await
    }

    #[tokio::test]
    async fn the_pods_of_a_job_send_the_load_together() {
        static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let (address, seen) = crate::world::load::fleet::tests::server().await;
        let client = cluster(&ASKED).await;
        let text = format!(
            "target: {{url: 'http://{address}'}}\nvus: 4\niterations: 60\ndistribution: {{pods: 2}}\n\
             thresholds: {{http_req_duration: ['p(90)<60000']}}\n"
        );
        let spec: LoadCheckSpec = serde_yaml::from_str(&text).unwrap();
        let origins = Origins::from(format!("http://{address}").as_str());
        let (progress, cancel) = (watch::Sender::default(), CancellationToken::new());
        let plan = spec.compile().unwrap();
        let checked = check_from(
            "image",
            (&client, "shop"),
            &spec,
            plan,
            origins,
            progress,
            &cancel,
        )
        .await;
        let checked = checked.unwrap();
        assert_eq!(checked.verdict.outcome, LoadOutcome::Pass);
        assert_eq!(checked.samples.request_count(), 60);
        assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 62);
        let deleted = async {
            let is_delete =
                |line: &String| line.starts_with("DELETE") && line.contains("/jobs/gitsync-load-x");
            while !ASKED.lock().unwrap().iter().any(is_delete) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), deleted)
            .await
            .unwrap();
        let asked = ASKED.lock().unwrap().clone();
        let count = |start: &str| asked.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(
            (count("POST /apis/batch/v1/namespaces/shop/jobs"), count("ATTACH")),
            (1, 2),
            "{asked:?}"
        );
    }
}
