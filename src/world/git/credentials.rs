//! Credentials: what proves to a git host who we are, and where it comes from.
//!
//! Files are read again at each use, so that a rotated token works without a restart. Nothing here is ever
//! printed but the place that a secret came from.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::GitError;

/// How to authenticate to a git host.
#[derive(Clone, Default)]
pub struct Credentials {
    /// For http and https.
    pub basic: Option<Basic>,
    /// For ssh.
    pub ssh: SshKey,
}

/// A user name with a password or token, sent as HTTP basic authentication.
#[derive(Clone)]
pub struct Basic {
    /// The user name; hosts that take tokens accept any, often `git` or `x-access-token`.
    pub username: String,
    /// Where the password or token is.
    pub password: SecretSource,
}

/// A place that a secret is read from when it is needed.
#[derive(Clone)]
pub enum SecretSource {
    /// The whole content of a file, without the final newline.
    File(PathBuf),
    /// The value of an environment variable.
    Environment(String),
    /// A value that came from elsewhere, with the name of that place.
    Value {
        /// The secret.
        value: String,
        /// The place, for messages.
        from: &'static str,
    },
}

/// The key and the known hosts of an ssh connection; what is `None` is left to ssh's own configuration.
#[derive(Clone, Default, Debug)]
pub struct SshKey {
    /// The private key; no other key is then offered.
    pub identity: Option<PathBuf>,
    /// The host keys that are trusted; no others are then.
    pub known_hosts: Option<PathBuf>,
}

/// The user name and password of one request.
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: String,
}

// === impl Credentials ===

impl Credentials {
    /// A user name with a token that is kept in a file.
    #[must_use]
    pub fn token_file(username: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        let password = SecretSource::File(file.into());
        Self {
            basic: Some(Basic {
                username: username.into(),
                password,
            }),
            ssh: SshKey::default(),
        }
    }

    /// A user name with a token that is kept in an environment variable.
    #[must_use]
    pub fn token_variable(username: impl Into<String>, variable: impl Into<String>) -> Self {
        let password = SecretSource::Environment(variable.into());
        Self {
            basic: Some(Basic {
                username: username.into(),
                password,
            }),
            ssh: SshKey::default(),
        }
    }

    /// A private key with the hosts that it may be shown to.
    #[must_use]
    pub fn ssh(identity: impl Into<PathBuf>, known_hosts: impl Into<PathBuf>) -> Self {
        let ssh = SshKey {
            identity: Some(identity.into()),
            known_hosts: Some(known_hosts.into()),
        };
        Self { basic: None, ssh }
    }

    /// The login as it is at this moment.
    pub(super) fn login(&self) -> Result<Option<Login>, GitError> {
        let Some(basic) = &self.basic else { return Ok(None) };
        let password = basic.password.read()?;
        Ok(Some(Login {
            username: basic.username.clone(),
            password,
        }))
    }

    /// Which credentials an http request carries, in words.
    pub(super) fn describe_http(&self) -> String {
        match &self.basic {
            None => "without credentials; name a file or variable that holds a token".to_owned(),
            Some(basic) => format!(
                "as user `{}` with the password from {}",
                basic.username, basic.password
            ),
        }
    }

    /// Which credentials an ssh connection offers, in words.
    pub(super) fn describe_ssh(&self) -> String {
        match &self.ssh.identity {
            None => "with the keys of the ssh agent and configuration".to_owned(),
            Some(file) => format!("with the ssh key {}", file.display()),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("http", &self.describe_http())
            .field("ssh", &self.ssh)
            .finish()
    }
}

// === impl SshKey ===

impl SshKey {
    /// Names the first file that is configured and cannot be read, because ssh would go on without it and
    /// fail later with a message about something else.
    pub(super) fn check(&self) -> Result<(), GitError> {
        let Self {
            identity,
            known_hosts,
        } = self;
        [identity, known_hosts]
            .into_iter()
            .flatten()
            .try_for_each(|file| readable(file))
    }
}

fn readable(file: &Path) -> Result<(), GitError> {
    std::fs::File::open(file)
        .map(drop)
        .map_err(|error| unusable(file.display().to_string(), error.to_string()))
}

// === impl SecretSource ===

impl SecretSource {
    fn read(&self) -> Result<String, GitError> {
        let text = match self {
            Self::File(file) => std::fs::read_to_string(file).map_err(|error| error.to_string()),
            Self::Environment(name) => std::env::var(name).map_err(|error| error.to_string()),
            Self::Value { value, .. } => return Ok(value.clone()),
        };
        let text = text.map_err(|reason| unusable(self.to_string(), reason))?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(unusable(self.to_string(), "it is empty".to_owned()));
        }
        Ok(secret.to_owned())
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Environment(name) => write!(f, "${name}"),
            Self::Value { from, .. } => f.write_str(from),
        }
    }
}

fn unusable(from: String, reason: String) -> GitError {
    GitError::Credentials { from, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_token_is_read_anew_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let credentials = Credentials::token_file("bot", &file);
        assert!(credentials.login().err().unwrap().to_string().contains("token"));
        for token in ["first", "second"] {
            std::fs::write(&file, format!("{token}\n")).unwrap();
            assert_eq!(credentials.login().unwrap().unwrap().password, token);
            assert!(!format!("{credentials:?}{}", credentials.describe_http()).contains(token));
        }
        std::fs::write(&file, "\n").unwrap();
        assert!(credentials.login().err().unwrap().to_string().contains("empty"));
    }

    #[test]
    fn a_missing_key_file_is_named() {
        let key = Credentials::ssh("/nonexistent/id", "/nonexistent/known_hosts").ssh;
        assert!(key.check().unwrap_err().to_string().contains("/nonexistent/id"));
    }
}
