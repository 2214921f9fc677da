//! Record store: reading and writing an environment's record, so that of two writers one loses and notices.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;

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
        let body = self.config_map(environment, stored.version.clone(), &record)?;
        let params = PostParams {
            dry_run: false,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        let name = config_map_name(environment);
        let result = if stored.version.is_some() {
            self.request(self.config_maps().replace(&name, &params, &body))
                .await
        } else {
            self.create_record(&params, &body).await
        };
        match result {
            Ok(written) => {
                *stored = Stored {
                    record,
                    version: written.metadata.resource_version,
                };
                Ok(())
            }
            Err(ClusterError::Api(status)) if matches!(status.code, 404 | 409) => {
                Err(ClusterError::Lost(environment.to_string()))
            }
            Err(other) => Err(other),
        }
    }

    async fn create_record(&self, params: &PostParams, body: &ConfigMap) -> Result<ConfigMap, ClusterError> {
        match self.request(self.config_maps().create(params, body)).await {
            // The account needs a right to namespaces only where nobody made this one before.
            Err(ClusterError::Api(status)) if status.code == 404 => {
                self.make_namespace().await?;
                self.request(self.config_maps().create(params, body)).await
            }
            other => other,
        }
    }

    fn config_map(
        &self,
        environment: &EnvName,
        version: Option<String>,
        record: &Record,
    ) -> Result<ConfigMap, ClusterError> {
        let data = record.to_data().map_err(|source| ClusterError::Record {
            environment: environment.to_string(),
            cluster: self.name.clone(),
            source,
        })?;
        let labels = [
            (
                "app.kubernetes.io/managed-by".to_owned(),
                FIELD_MANAGER.to_owned(),
            ),
            (ENVIRONMENT_LABEL.to_owned(), environment.to_string()),
        ];
        let metadata = ObjectMeta {
            name: Some(config_map_name(environment)),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(labels.into()),
            resource_version: version,
            ..ObjectMeta::default()
        };
        Ok(ConfigMap {
            metadata,
            data: Some(data),
            ..ConfigMap::default()
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
