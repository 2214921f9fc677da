//! Read: the live objects that an environment is about, in as few requests as the API has.
//!
//! Everything that gitsync applied carries the environment's label, so one list a kind brings all of it. What a list
//! does not bring was never applied, or lost its label: the names of its namespace say whether it exists at all, and
//! only then it is read by itself.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use manifest::ObjectId;
use serde_json::{Value, json};

use super::observe::Observed;
use super::{CONCURRENCY, Cluster, ClusterError, Resource};
use crate::live::ENVIRONMENT_LABEL;
use crate::model::EnvName;

/// How many objects of a kind are read one by one before a list is cheaper.
const FEW: usize = 4;

/// How many objects one page of a list holds, as kubectl's lists.
const PAGE: u32 = 500;

/// How many pages of names are read before what is still unknown is read by itself.
const MOST_PAGES_OF_NAMES: usize = 20;

/// The wanted objects of one kind: indices into the objects that were asked for.
struct Kind<'a> {
    resource: &'a Resource,
    wanted: Vec<usize>,
}

/// A live object, or that there is none, with the index of the one that was asked for.
type Found = (usize, Option<Value>);

/// What a read brought.
#[derive(Default)]
pub(super) struct Read {
    /// The live objects that were asked for, by their indices.
    pub(super) found: BTreeMap<usize, Value>,
    /// Live objects with the environment's label that nobody asked for; git may have forgotten them.
    pub(super) others: BTreeMap<ObjectId, Value>,
}

impl Cluster {
    /// The live objects of `objects`; what does not exist, or is of a kind that is not served yet, is in no entry.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked, or does not let objects be read.
    pub(super) async fn read(
        &self,
        environment: &EnvName,
        objects: &[Observed],
        wanted: impl Iterator<Item = usize>,
    ) -> Result<Read, ClusterError> {
        let mut kinds: BTreeMap<_, Kind<'_>> = BTreeMap::new();
        for index in wanted {
            if let Some(resource) = &objects[index].resource {
                let kind = || Kind {
                    resource,
                    wanted: Vec::new(),
                };
                kinds
                    .entry(&objects[index].gvk)
                    .or_insert_with(kind)
                    .wanted
                    .push(index);
            }
        }
        let reads: Vec<_> = kinds
            .values()
            .map(|kind| self.read_kind(environment, objects, kind))
            .collect();
        let kinds: Vec<_> = stream::iter(reads).buffered(CONCURRENCY).try_collect().await?;
        let mut read = Read::default();
        for (found, others) in kinds {
            let there = found.into_iter().filter_map(|(index, live)| Some((index, live?)));
            read.found.extend(there);
            read.others.extend(others);
        }
        Ok(read)
    }

    async fn read_kind(
        &self,
        environment: &EnvName,
        objects: &[Observed],
        kind: &Kind<'_>,
    ) -> Result<(Vec<Found>, Vec<(ObjectId, Value)>), ClusterError> {
        if kind.wanted.len() <= FEW {
            let found = self.read_each(objects, kind.resource, &kind.wanted).await?;
            return Ok((found, Vec::new()));
        }
        let mut listed = match self.list_labelled(environment, objects, kind).await {
            Ok(listed) => listed,
            // The account may read each object and still not list them.
            Err(error) if error.is_forbidden() => {
                let found = self.read_each(objects, kind.resource, &kind.wanted).await?;
                return Ok((found, Vec::new()));
            }
            Err(error) => return Err(error),
        };
        let (mut found, mut missing) = (Vec::with_capacity(kind.wanted.len()), Vec::new());
        for index in &kind.wanted {
            let id = &objects[*index].id;
            match listed.remove(&(id.namespace.clone(), id.name.clone())) {
                Some(live) => found.push((*index, Some(live))),
                None => missing.push(*index),
            }
        }
        let missing = self.without_absent(objects, kind.resource, missing).await?;
        found.extend(self.read_each(objects, kind.resource, &missing).await?);
        let others = listed.into_iter().map(|((namespace, name), live)| {
            let api = &kind.resource.api;
            let (group, kind) = (api.group.clone(), api.kind.clone());
            let id = ObjectId {
                group,
                kind,
                namespace,
                name,
            };
            (id, live)
        });
        Ok((found, others.collect()))
    }

    async fn read_each(
        &self,
        objects: &[Observed],
        resource: &Resource,
        wanted: &[usize],
    ) -> Result<Vec<Found>, ClusterError> {
        let reads: Vec<_> = wanted
            .iter()
            .map(|index| {
                let (index, id) = (*index, &objects[*index].id);
                async move { Ok((index, self.read_one(resource, &id.namespace, &id.name).await?)) }
            })
            .collect();
        stream::iter(reads).buffered(CONCURRENCY).try_collect().await
    }

    /// One live object, if it exists.
    pub(super) async fn read_one(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, ClusterError> {
        let api = self.api(resource, namespace);
        Ok(self
            .request(api.get_opt(name))
            .await?
            .map(|object| to_value(object, resource)))
    }

    /// The objects of a kind that carry the environment's label, by namespace and name.
    async fn list_labelled(
        &self,
        environment: &EnvName,
        objects: &[Observed],
        kind: &Kind<'_>,
    ) -> Result<BTreeMap<(String, String), Value>, ClusterError> {
        let namespaces: BTreeSet<&str> = kind
            .wanted
            .iter()
            .map(|index| objects[*index].id.namespace.as_str())
            .collect();
        let api = match namespaces.first() {
            Some(namespace) if namespaces.len() == 1 => self.api(kind.resource, namespace),
            _ => Api::all_with(self.client.clone(), &kind.resource.api),
        };
        let mut params = ListParams::default()
            .labels(&format!("{ENVIRONMENT_LABEL}={environment}"))
            .limit(PAGE);
        let mut listed = BTreeMap::new();
        loop {
            let page = self.request(api.list(&params)).await?;
            for object in page.items {
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                let key = (text(&object.metadata.namespace), text(&object.metadata.name));
                listed.insert(key, to_value(object, kind.resource));
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(listed),
            }
        }
    }

    /// `missing` without the objects that surely do not exist, by the names that their namespaces hold.
    async fn without_absent(
        &self,
        objects: &[Observed],
        resource: &Resource,
        missing: Vec<usize>,
    ) -> Result<Vec<usize>, ClusterError> {
        let mut by_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for index in missing {
            by_namespace
                .entry(&objects[index].id.namespace)
                .or_default()
                .push(index);
        }
        let mut left = Vec::new();
        for (namespace, mut indices) in by_namespace {
            if indices.len() > FEW
                && let Some(names) = self.names(resource, namespace).await?
            {
                indices.retain(|index| names.contains(&objects[*index].id.name));
            }
            left.extend(indices);
        }
        Ok(left)
    }

    /// All names of a kind in a namespace; `None` when they cannot be listed, or are too many to be worth it.
    async fn names(
        &self,
        resource: &Resource,
        namespace: &str,
    ) -> Result<Option<BTreeSet<String>>, ClusterError> {
        let api = self.api(resource, namespace);
        let (mut names, mut params) = (BTreeSet::new(), ListParams::default().limit(PAGE));
        for _ in 0..MOST_PAGES_OF_NAMES {
            let page = match self.request(api.list_metadata(&params)).await {
                Ok(page) => page,
                Err(error) if error.is_forbidden() => return Ok(None),
                Err(error) => return Err(error),
            };
            names.extend(page.items.into_iter().filter_map(|object| object.metadata.name));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(Some(names)),
            }
        }
        Ok(None)
    }
}

/// A dynamic object as JSON. The items of a list do not say their kind; they are all of the one that was listed.
pub(super) fn to_value(object: DynamicObject, resource: &Resource) -> Value {
    let mut value = json!({
        "apiVersion": resource.api.api_version,
        "kind": resource.api.kind,
        "metadata": object.metadata,
    });
    if let (Value::Object(fields), Value::Object(rest)) = (&mut value, object.data) {
        fields.extend(rest);
    }
    value
}
