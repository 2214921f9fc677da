//! Tokens: who a bearer token belongs to, the administrator's and those that ServiceAccounts were given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::api::{Api, Caller, Target, random_id};
use crate::kinds::fields::text;
use crate::rbac::account;
use crate::status::Status;

/// How long a token holds that asks for nothing else.
const HOUR: Duration = Duration::from_secs(3600);

/// All tokens of a cluster.
pub(crate) struct Tokens {
    admin: (String, Caller),
    issued: Mutex<Vec<Issued>>,
}

/// A token of a ServiceAccount.
struct Issued {
    token: String,
    namespace: String,
    name: String,
    uid: String,
    expires: Timestamp,
}

// === impl Tokens ===

impl Tokens {
    /// The token of an administrator, and no other.
    pub(crate) const fn new(token: String, admin: Caller) -> Self {
        Self {
            admin: (token, admin),
            issued: Mutex::new(Vec::new()),
        }
    }

    /// Who has a token; nobody if it has expired or its ServiceAccount is gone.
    pub(crate) fn caller(&self, api: &Api, token: &str) -> Option<Caller> {
        let (of_admin, admin) = &self.admin;
        if is_same_secret(of_admin, token) {
            return Some(admin.clone());
        }
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let now = api.clock.now();
        issued.retain(|one| one.expires > now);
        let found = issued.iter().find(|one| is_same_secret(&one.token, token))?;
        let object = api
            .store
            .get("serviceaccounts", &format!("{}/{}", found.namespace, found.name))?;
        (text(&object.value()["metadata"], "uid") == found.uid).then(|| Caller {
            user: account(&found.namespace, &found.name),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{}", found.namespace),
                "system:authenticated".to_owned(),
            ],
            manager: "unknown".to_owned(),
        })
    }

    /// Answers a TokenRequest for a ServiceAccount.
    ///
    /// # Errors
    /// 404 if there is none.
    pub(crate) fn issue(&self, api: &Api, target: &Target, mut request: Value) -> Result<Value, Status> {
        let account = api.read(&target.kind, &target.namespace, &target.name)?.value();
        let seconds = request["spec"]["expirationSeconds"].as_i64();
        let holds = seconds.map_or(SignedDuration::try_from(HOUR).unwrap_or_default(), |seconds| {
            SignedDuration::from_secs(seconds.clamp(600, i64::from(u32::MAX)))
        });
        let expires = api.clock.now().checked_add(holds).unwrap_or(Timestamp::MAX);
        let token = format!("sandbox-{}{}", random_id(), random_id());
        request["kind"] = "TokenRequest".into();
        request["apiVersion"] = "authentication.k8s.io/v1".into();
        request["metadata"]["name"] = target.name.clone().into();
        request["metadata"]["namespace"] = target.namespace.clone().into();
        request["spec"]["expirationSeconds"] = holds.as_secs().into();
        request["status"]["token"] = token.clone().into();
        request["status"]["expirationTimestamp"] = crate::clock::stamp(expires).into();
        let issued = Issued {
            token,
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            uid: text(&account["metadata"], "uid").to_owned(),
            expires,
        };
        self.issued
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(issued);
        Ok(request)
    }
}

/// Compares without telling by its time where the texts differ.
fn is_same_secret(one: &str, other: &str) -> bool {
    let differing = one
        .bytes()
        .zip(other.bytes())
        .fold(0, |differing, (a, b)| differing | (a ^ b));
    one.len() == other.len() && differing == 0
}
