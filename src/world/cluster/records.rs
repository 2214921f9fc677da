//! Record store: reading and writing an environment's record, so that of two writers one loses and notices.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Cluster, ClusterError, FIELD_MANAGER};
use crate::live::ENVIRONMENT_LABEL;
use crate::model::EnvName;
use crate::record::{NAMESPACE, Record, config_map_name};

/// A record together with the version of its ConfigMap.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// What is remembered.
    pub record: Record,
    version: Option<String>,
}

impl Cluster {
    /// Reads an environment's record; an empty one when there is none yet.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked, or the record is damaged.
    pub async fn read_record(&self, environment: &EnvName) -> Result<Stored, ClusterError> {
        let found = self
            .request(self.config_maps().get_opt(&config_map_name(environment)))
            .await?;
        let Some(found) = found else {
            return Ok(Stored::default());
        };
        let record =
            Record::from_data(&found.data.unwrap_or_default()).map_err(|source| ClusterError::Record {
                environment: environment.to_string(),
                cluster: self.name.clone(),
                source,
            })?;
        Ok(Stored {
            record,
            version: found.metadata.resource_version,
        })
    }

    /// Writes `record` over `stored`, which then holds it.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Lost`] when somebody else wrote since `stored` was read; nothing is written then.
    pub async fn write_record(
        &self,
        environment: &EnvName,
        stored: &mut Stored,
        record: Record,
    ) -> Result<(), ClusterError> {
        if stored.version.is_some() && stored.record == record {
            return Ok(());
        }
        let name = config_map_name(environment);
        let result = if let Some(version) = &stored.version {
            let patch = self.changes(environment, version, &stored.record, &record)?;
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            self.request(
                self.config_maps()
                    .patch_metadata(&name, &params, &Patch::Merge(&patch)),
            )
            .await
            .map(|written| written.metadata)
        } else {
            self.create_record(environment, &record).await
        };
        match result {
            Ok(written) => {
                *stored = Stored {
                    record,
                    version: written.resource_version,
                };
                Ok(())
            }
            Err(ClusterError::Api(status)) if matches!(status.code, 404 | 409) => {
                Err(ClusterError::Lost(environment.to_string()))
            }
            Err(other) => Err(other),
        }
    }

    async fn create_record(
        &self,
        environment: &EnvName,
        record: &Record,
    ) -> Result<ObjectMeta, ClusterError> {
        let body = ConfigMap {
            metadata: ObjectMeta {
                name: Some(config_map_name(environment)),
                namespace: Some(NAMESPACE.to_owned()),
                labels: Some(labels(environment)),
                ..ObjectMeta::default()
            },
            data: Some(self.data(environment, record)?),
            ..ConfigMap::default()
        };
        let params = PostParams {
            dry_run: false,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        let created = match self.request(self.config_maps().create(&params, &body)).await {
            // The account needs a right to namespaces only where nobody made this one before.
            Err(ClusterError::Api(status)) if status.code == 404 => {
                self.make_namespace().await?;
                self.request(self.config_maps().create(&params, &body)).await
            }
            other => other,
        };
        created.map(|created| created.metadata)
    }

    /// A merge patch with the parts that changed, refused by the API server when somebody else wrote since that version.
    /// The inventory is most of a record and seldom changes: it is neither sent nor asked for with each new status.
    fn changes(
        &self,
        environment: &EnvName,
        version: &str,
        before: &Record,
        after: &Record,
    ) -> Result<Value, ClusterError> {
        let mut before = self.data(environment, before)?;
        let mut changed = serde_json::Map::new();
        for (part, text) in self.data(environment, after)? {
            if before.remove(&part).as_ref() != Some(&text) {
                changed.insert(part, text.into());
            }
        }
        changed.extend(before.into_keys().map(|gone| (gone, Value::Null)));
        Ok(json!({
            "metadata": {"resourceVersion": version, "labels": labels(environment)},
            "data": changed,
        }))
    }

    fn data(&self, environment: &EnvName, record: &Record) -> Result<BTreeMap<String, String>, ClusterError> {
        record.to_data().map_err(|source| ClusterError::Record {
            environment: environment.to_string(),
            cluster: self.name.clone(),
            source,
        })
    }

    /// Makes the namespace of gitsync's own objects.
    pub(in crate::world) async fn make_namespace(&self) -> Result<(), ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let metadata = ObjectMeta {
            name: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        };
        let namespace = Namespace {
            metadata,
            ..Namespace::default()
        };
        match self.request(api.create(&PostParams::default(), &namespace)).await {
            // Another environment of the same cluster was faster.
            Err(ClusterError::Api(status)) if status.code == 409 => Ok(()),
            other => other.map(drop),
        }
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }
}

fn labels(environment: &EnvName) -> BTreeMap<String, String> {
    BTreeMap::from([
        (
            "app.kubernetes.io/managed-by".to_owned(),
            FIELD_MANAGER.to_owned(),
        ),
        (ENVIRONMENT_LABEL.to_owned(), environment.to_string()),
    ])
}
