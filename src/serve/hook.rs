//! Webhooks: a git host says that something was pushed. The only effect is a look at the remote, now.
//!
//! GitHub, Gitea, Forgejo and Bitbucket sign the body with HMAC-SHA-256; GitLab sends the secret itself. A body that
//! came before is refused: an observer cannot wake the daemon again and again with it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hyper::HeaderMap;
use ring::hmac;

use super::guard::{Guard, unhex};

/// The longest body, in bytes.
pub(super) const LONGEST: usize = 1024 * 1024;

/// How many deliveries are remembered.
const REMEMBERED: usize = 1024;

/// The headers with a signature, and what stands before the hexadecimal digits.
const SIGNATURES: [(&str, &str); 3] = [
    ("x-hub-signature-256", "sha256="),
    ("x-gitea-signature", ""),
    ("x-hub-signature", "sha256="),
];

/// The header with the secret itself.
const GITLAB_TOKEN: &str = "x-gitlab-token";

/// What names a delivery of GitLab, whose bodies carry no signature.
const GITLAB_DELIVERY: &str = "x-gitlab-event-uuid";

/// The deliveries that came before.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<VecDeque<[u8; 32]>>);

/// What a webhook came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The remote is looked at.
    Accepted,
    /// It came before.
    Replayed,
    /// It is not signed by who knows the secret.
    Refused,
}

// === impl Deliveries ===

impl Deliveries {
    /// Judges a delivery, and remembers it.
    pub(super) fn judge(&self, guard: &Guard, headers: &HeaderMap, body: &[u8]) -> Delivery {
        if !is_signed(guard, headers, body) {
            return Delivery::Refused;
        }
        let name = headers
            .get(GITLAB_DELIVERY)
            .map(|name| name.as_bytes())
            .unwrap_or_default();
        let digest = digest(name, body);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(&digest) {
            return Delivery::Replayed;
        }
        if seen.len() == REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(digest);
        Delivery::Accepted
    }
}

fn digest(name: &[u8], body: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    let mut digest = sha2::Sha256::new();
    digest.update((name.len() as u64).to_be_bytes());
    digest.update(name);
    digest.update(body);
    digest.finalize().into()
}

fn is_signed(guard: &Guard, headers: &HeaderMap, body: &[u8]) -> bool {
    let Some(secret) = guard.hook_secret() else {
        return false;
    };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = text(GITLAB_TOKEN) {
        return guard.same(token, secret);
    }
    // The first header that is there decides; Gitea sends GitHub's as well.
    let signature = SIGNATURES
        .iter()
        .find_map(|(name, prefix)| text(name).map(|value| value.strip_prefix(prefix)));
    let Some(signature) = signature.flatten().and_then(unhex) else {
        return false;
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, body, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Settings;
    use crate::serve::guard::Key;

    fn mk_guard(secret: Option<&str>) -> Guard {
        let settings = Settings {
            hook_secret: secret.map(str::to_owned),
            ..Settings::default()
        };
        Guard::new(Key::random().unwrap(), settings)
    }

    /// RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?".
    const SIGNED: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const BODY: &[u8] = b"what do ya want for nothing?";

    #[test]
    fn each_host_proves_itself_in_its_own_way() {
        let guard = mk_guard(Some("Jefe"));
        let github = format!("sha256={SIGNED}");
        for (name, header, value, wanted) in [
            (
                "GitHub",
                "x-hub-signature-256",
                github.as_str(),
                Delivery::Accepted,
            ),
            ("Gitea", "x-gitea-signature", SIGNED, Delivery::Accepted),
            ("Bitbucket", "x-hub-signature", &github, Delivery::Accepted),
            ("GitLab", "x-gitlab-token", "Jefe", Delivery::Accepted),
            ("GitLab, wrong", "x-gitlab-token", "jefe", Delivery::Refused),
            ("no prefix", "x-hub-signature-256", SIGNED, Delivery::Refused),
            ("SHA-1", "x-hub-signature", "sha1=00", Delivery::Refused),
            ("no header", "x-other", "", Delivery::Refused),
        ] {
            let header: hyper::header::HeaderName = header.parse().unwrap();
            let headers: HeaderMap = [(header, value.parse().unwrap())].into_iter().collect();
            assert_eq!(
                Deliveries::default().judge(&guard, &headers, BODY),
                wanted,
                "{name}"
            );
            let other = Deliveries::default().judge(&mk_guard(None), &headers, BODY);
            assert_eq!(other, Delivery::Refused, "{name} without a secret");
        }
    }

    #[test]
    fn a_delivery_counts_once_and_another_body_needs_another_signature() {
        let (guard, deliveries) = (mk_guard(Some("Jefe")), Deliveries::default());
        let mut headers = HeaderMap::new();
        headers.insert("x-gitea-signature", SIGNED.parse().unwrap());
        assert_eq!(deliveries.judge(&guard, &headers, BODY), Delivery::Accepted);
        assert_eq!(deliveries.judge(&guard, &headers, BODY), Delivery::Replayed);
        assert_eq!(deliveries.judge(&guard, &headers, b"else"), Delivery::Refused);
    }
}
