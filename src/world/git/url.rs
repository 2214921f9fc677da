//! Repository URL: where a repository is, in one of the forms that git takes, without its secrets.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use gix::bstr::ByteSlice as _;
use gix::url::Scheme;

use super::error::GitError;

/// The place of a repository: `https://…`, `http://…`, `ssh://…`, `user@host:path`, `file://…` or a path.
///
/// A user name and password inside an http URL are kept apart and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RepositoryUrl {
    place: Place,
    shown: String,
    userinfo: Option<(String, String)>,
}

/// How a repository is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Smart HTTP; the URL has no user information.
    Http(gix::Url),
    /// A program that speaks ssh.
    Ssh(SshPlace),
    /// A directory of this machine.
    Local(PathBuf),
}

/// The parts of an ssh URL, each safe to be an argument of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshPlace {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) path: String,
}

// === impl RepositoryUrl ===

impl RepositoryUrl {
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The user name and password that the URL carried.
    pub(super) fn userinfo(&self) -> Option<(&str, &str)> {
        self.userinfo
            .as_ref()
            .map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// The directory, when the repository is on this machine.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        match &self.place {
            Place::Local(path) => Some(path),
            Place::Http(_) | Place::Ssh(_) => None,
        }
    }

    fn http(mut url: gix::Url) -> Result<Self, GitError> {
        let user = url.set_user(None).filter(|user| !user.is_empty());
        let password = url.set_password(None);
        let shown = url.to_bstring().to_string();
        if url.host().is_none_or(str::is_empty) {
            return Err(wrong(&shown, "it names no host"));
        }
        // A token alone, in the place of the user name, is a password without a name.
        let userinfo = match (user, password) {
            (Some(user), Some(password)) => Some((user, password)),
            (Some(token), None) => Some((token, String::new())),
            (None, Some(password)) => Some((String::new(), password)),
            (None, None) => None,
        };
        Ok(Self {
            place: Place::Http(url),
            shown,
            userinfo,
        })
    }

    fn ssh(mut url: gix::Url) -> Result<Self, GitError> {
        url.set_password(None);
        let shown = url.to_bstring().to_string();
        let host = url.host().filter(|host| !host.is_empty()).map(str::to_owned);
        let host = host.ok_or_else(|| wrong(&shown, "it names no host"))?;
        let user = url.user().map(str::to_owned);
        let path = url
            .path
            .to_str()
            .map_err(|_| wrong(&shown, "its path is not UTF-8"))?
            .to_owned();
        // ssh would take such a word for an option and run what it says.
        let option = |word: &str| word.starts_with('-');
        if option(&host) || user.as_deref().is_some_and(option) || option(&path) {
            return Err(wrong(&shown, "user, host and path must not begin with `-`"));
        }
        if path.is_empty() {
            return Err(wrong(&shown, "it names no path on the host"));
        }
        let place = SshPlace {
            user,
            host,
            port: url.port,
            path,
        };
        Ok(Self {
            place: Place::Ssh(place),
            shown,
            userinfo: None,
        })
    }

    fn local(text: &str, path: &Path) -> Result<Self, GitError> {
        let path = std::path::absolute(path).map_err(|error| wrong(text, &error.to_string()))?;
        Ok(Self {
            shown: path.display().to_string(),
            place: Place::Local(path),
            userinfo: None,
        })
    }
}

impl FromStr for RepositoryUrl {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, GitError> {
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(wrong("", "it is empty or holds control characters"));
        }
        let url = gix::url::parse(text).map_err(|_| wrong(text, ACCEPTED))?;
        match &url.scheme {
            Scheme::Https | Scheme::Http => Self::http(url),
            Scheme::Ssh => Self::ssh(url),
            Scheme::File => match url.path.to_str() {
                Ok(path) => Self::local(text, Path::new(path)),
                Err(_) => Err(wrong(text, "its path is not UTF-8")),
            },
            Scheme::Git => Err(wrong(
                text,
                "the git:// protocol proves neither side; use https or ssh",
            )),
            _ => Err(wrong(text, ACCEPTED)),
        }
    }
}

const ACCEPTED: &str = "use https://…, ssh://…, user@host:path, file://… or a path";

fn wrong(url: &str, reason: &str) -> GitError {
    GitError::Url {
        url: without_userinfo(url),
        reason: reason.to_owned(),
    }
}

/// The text of a URL that could not be parsed, without what may be a password.
fn without_userinfo(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &text[..scheme], &text[at..]),
        _ => text.to_owned(),
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RepositoryUrl").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_that_git_takes_is_understood_and_shown_without_secrets() {
        for (text, shown) in [
            (
                "https://host.example/team/repo.git",
                "https://host.example/team/repo.git",
            ),
            ("https://bot:s3cret@host.example/r", "https://host.example/r"),
            ("https://s3cret@host.example/r", "https://host.example/r"),
            ("http://localhost:8080/r", "http://localhost:8080/r"),
            (
                "ssh://git@host.example:2222/r.git",
                "ssh://git@host.example:2222/r.git",
            ),
            ("git@host.example:team/r.git", "git@host.example:team/r.git"),
            ("file:///srv/r.git", "/srv/r.git"),
            ("/srv/r.git", "/srv/r.git"),
        ] {
            let url: RepositoryUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(!format!("{url:?}").contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn what_cannot_work_or_is_not_safe_is_refused_without_showing_secrets() {
        for (text, reason) in [
            ("", "empty"),
            ("git://host/r", "proves neither side"),
            ("ext::sh -c evil", "use https://"),
            ("ssh://-oProxyCommand=evil/r", "begin with `-`"),
            ("ssh://host/\n", "control"),
            ("ftp://u:s3cret@host/r", "use https://"),
        ] {
            let error = text.parse::<RepositoryUrl>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_relative_path_is_read_from_the_working_directory() {
        let url: RepositoryUrl = "./some/where".parse().unwrap();
        assert!(url.local_path().unwrap().is_absolute());
    }

    proptest! {
        #[test]
        fn no_password_is_ever_shown(
            scheme in "(https|http|ssh|ftp|git|x)",
            user in "[a-z]{0,4}",
            host in "[a-z.:/\\[\\]]{0,8}",
            path in "[a-z/?#%.]{0,10}",
        ) {
            let text = format!("{scheme}://{user}:PASSWORD@{host}/{path}");
            let shown = match text.parse::<RepositoryUrl>() {
                Ok(url) => format!("{url} {url:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!shown.contains("PASSWORD"), "{text}: {shown}");
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "\\PC{0,40}") {
            text.parse::<RepositoryUrl>().ok();
        }
    }
}
