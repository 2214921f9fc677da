//! Image tags: what the program in an image does once it runs, told by the first four characters of its tag.
//!
//! A tag of CI is the first eight characters of a commit, so a behaviour has to fit into hexadecimal digits. One table
//! serves everybody: kwok's stages give pods their status by it, and the application answers requests by it.
//!
//! | prefix | helper | the pod | an HTTP request |
//! |---|---|---|---|
//! | `900d`, and any other | [`good`] | ready within a second | 200 after 5 ms |
//! | `510a` | [`slow`] | ready within a second | 200 after 700 ms |
//! | `fa11` | [`fails`] | ready within a second | 500 after 5 ms |
//! | `1a7e` | [`late`] | ready after 3 seconds | 200 after 5 ms |
//! | `0ff1` | [`stuck`] | runs, and never gets ready | none arrives |
//! | `dead` | [`crash`] | CrashLoopBackOff, restarts grow, exit code 1 | none arrives |
//! | `404f` | [`nopull`] | ImagePullBackOff with the registry's words | none arrives |
//!
//! No helper returns a tag that YAML reads as a number, so that a test of a number does it on purpose.

use std::time::Duration;

/// What an image does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers 200 at once.
    Good,
    /// Answers 200, later than the example's threshold of 600 ms.
    Slow,
    /// Answers 500.
    Fails,
    /// Takes its time to become ready, then is good.
    Late,
    /// Runs, and never becomes ready.
    Stuck,
    /// Ends with exit code 1 whenever it is started.
    Crash,
    /// Is not in the registry.
    NoPull,
}

/// The prefixes that mean something; every other tag is [`Behaviour::Good`].
pub const PREFIXES: [(&str, Behaviour); 7] = [
    ("900d", Behaviour::Good),
    ("510a", Behaviour::Slow),
    ("fa11", Behaviour::Fails),
    ("1a7e", Behaviour::Late),
    ("0ff1", Behaviour::Stuck),
    ("dead", Behaviour::Crash),
    ("404f", Behaviour::NoPull),
];

/// The status and the latency with which an image answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The time from the request to the response.
    pub after: Duration,
}

impl Behaviour {
    /// The behaviour of an image reference such as `registry:5000/team/app:510a0001@sha256:…`.
    pub fn of_image(image: &str) -> Self {
        let tag = tag_of(image);
        PREFIXES
            .iter()
            .find(|(prefix, _)| tag.starts_with(prefix))
            .map_or(Self::Good, |(_, behaviour)| *behaviour)
    }

    /// The prefix of the tags with this behaviour.
    pub fn prefix(self) -> &'static str {
        PREFIXES
            .iter()
            .find(|(_, behaviour)| *behaviour == self)
            .map(|(prefix, _)| *prefix)
            .expect("because the table has a row for every behaviour")
    }

    /// How a pod with this image answers a request.
    pub fn answer(self) -> Answer {
        let (status, millis) = match self {
            Self::Slow => (200, 700),
            Self::Fails => (500, 5),
            Self::Good | Self::Late | Self::Stuck | Self::Crash | Self::NoPull => (200, 5),
        };
        Answer {
            status,
            after: Duration::from_millis(millis),
        }
    }

    fn tag(self, number: u16) -> String {
        format!("{}{number:04x}", self.prefix())
    }
}

/// The tag of an image reference, or nothing when it has none.
pub fn tag_of(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split_once(':').map_or("", |(_, tag)| tag)
}

/// The `number`th tag that works, for example `900d0001`.
pub fn good(number: u16) -> String {
    Behaviour::Good.tag(number)
}

/// The `number`th tag that answers too slowly.
pub fn slow(number: u16) -> String {
    Behaviour::Slow.tag(number)
}

/// The `number`th tag that answers 500.
pub fn fails(number: u16) -> String {
    Behaviour::Fails.tag(number)
}

/// The `number`th tag whose pods take three seconds to become ready.
pub fn late(number: u16) -> String {
    Behaviour::Late.tag(number)
}

/// The `number`th tag whose pods run and never become ready.
pub fn stuck(number: u16) -> String {
    Behaviour::Stuck.tag(number)
}

/// The `number`th tag whose pods crash.
pub fn crash(number: u16) -> String {
    Behaviour::Crash.tag(number)
}

/// The `number`th tag that the registry does not have.
pub fn nopull(number: u16) -> String {
    Behaviour::NoPull.tag(number)
}

#[test]
fn the_first_four_characters_of_a_tag_decide() {
    let cases = [
        ("a helper's tag", format!("team/app:{}", slow(1)), Behaviour::Slow),
        ("a tag of CI", "team/app:abc123de".to_owned(), Behaviour::Good),
        (
            "a registry with a port",
            "localhost:5000/app:dead0001".to_owned(),
            Behaviour::Crash,
        ),
        (
            "a digest after the tag",
            "app:404f0001@sha256:00".to_owned(),
            Behaviour::NoPull,
        ),
        ("a digest alone", "app@sha256:dead".to_owned(), Behaviour::Good),
        ("no tag, a port", "dead:5000/dead".to_owned(), Behaviour::Good),
    ];
    for (name, image, want) in cases {
        assert_eq!(Behaviour::of_image(&image), want, "{name}: {image}");
    }
}

#[test]
fn no_tag_of_a_helper_is_a_number_to_yaml() {
    for make in [good, slow, fails, late, stuck, crash, nopull] {
        for number in [0, 1, 9, 0x10, 0xe1, 0xffff] {
            let tag = make(number);
            assert_eq!(tag.len(), 8, "{tag}");
            assert!(
                serde_yaml::from_str::<serde_json::Value>(&tag).is_ok_and(|value| value.is_string()),
                "{tag} is not a string"
            );
        }
    }
}
