//! Images: what the program in an image does in a sandbox cluster, told by the first four characters of its tag.
//!
//! A tag of CI is the beginning of a commit's id, so the behaviours are words in hexadecimal digits. Every other image is
//! there, starts, and answers at once.

use std::time::Duration;

use sandbox::Behaviour;

/// The tags that behave in a way of their own: the prefix, and what people should know of it.
pub const DEMO_TAGS: [(&str, &str); 6] = [
    ("510a", "answers after 700 ms"),
    ("fa11", "answers 500"),
    ("1a7e", "is ready after 3 seconds"),
    ("0ff1", "is never ready"),
    ("dead", "crashes"),
    ("404f", "cannot be pulled"),
];

/// How soon a good program answers.
const QUICK: Duration = Duration::from_millis(5);

/// How late a slow one answers: later than the example's threshold of 600 ms.
const SLOW: Duration = Duration::from_millis(700);

/// How long one takes that starts slowly.
const LATE: Duration = Duration::from_secs(3);

/// What the program in an image does.
pub fn behaviour(image: &str) -> Behaviour {
    match tag(image).get(..4) {
        Some("510a") => Behaviour::serving(SLOW),
        Some("fa11") => Behaviour::failing(500),
        Some("1a7e") => Behaviour::slow_start(LATE, QUICK),
        Some("0ff1") => Behaviour::never_ready(),
        Some("dead") => Behaviour::crashing(1, vec!["fatal: no configuration".to_owned()]),
        Some("404f") => Behaviour::unpullable(format!("{image}: not found")),
        _ => Behaviour::serving(QUICK),
    }
}

/// The tag of an image, or nothing when it has none.
fn tag(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split_once(':').map_or("", |(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_decides_and_the_rest_of_the_reference_does_not() {
        for (image, want) in [
            ("team/app:510a0001", Behaviour::serving(SLOW)),
            ("localhost:5000/app:fa110001", Behaviour::failing(500)),
            ("app:0ff10001@sha256:00", Behaviour::never_ready()),
            ("app@sha256:dead", Behaviour::serving(QUICK)),
            ("dead:5000/dead", Behaviour::serving(QUICK)),
            ("app:ÄÖ", Behaviour::serving(QUICK)),
            ("app", Behaviour::serving(QUICK)),
        ] {
            assert_eq!(behaviour(image), want, "{image}");
        }
        for (prefix, _) in DEMO_TAGS {
            let found = behaviour(&format!("app:{prefix}0001"));
            assert_ne!(found, Behaviour::serving(QUICK), "{prefix}");
        }
    }
}
