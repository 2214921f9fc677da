//! HTML: text made safe, and the small forms that all pages share.

use jiff::Timestamp;

use crate::report::status::age;

/// `text` as it may stand in an element or in a quoted attribute.
#[must_use]
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The first digits of a commit, as people write it.
#[must_use]
pub fn short(revision: &str) -> &str {
    revision.get(..8).unwrap_or(revision)
}

/// An image without its registry; the whole is in the title.
#[must_use]
pub fn image(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    let (name, tag) = name.split_once([':', '@']).unwrap_or((name, ""));
    let tag = if tag.is_empty() {
        String::new()
    } else {
        format!(" <b>{}</b>", text(tag))
    };
    format!(
        "<span class=\"image\" title=\"{}\">{}{tag}</span>",
        text(image),
        text(name)
    )
}

/// How long ago, in a `time` element.
#[must_use]
pub fn ago(time: &str, now: Timestamp) -> String {
    match time.parse() {
        Ok(then) => element(time, &format!("{} ago", age(then, now))),
        Err(_) => text(time),
    }
}

/// For how long now, in a `time` element.
#[must_use]
pub fn since(time: &str, now: Timestamp) -> String {
    match time.parse() {
        Ok(then) => element(time, &age(then, now)),
        Err(_) => text(time),
    }
}

/// In how long, in a `time` element.
#[must_use]
pub fn until(time: &str, now: Timestamp) -> String {
    match time.parse::<Timestamp>() {
        Ok(then) if then.duration_since(now).as_secs() > 0 => {
            element(time, &format!("in {}", age(now, then)))
        }
        Ok(_) => element(time, "now"),
        Err(_) => text(time),
    }
}

fn element(time: &str, words: &str) -> String {
    format!("<time datetime=\"{0}\" title=\"{0}\">{words}</time>", text(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_can_become_markup() {
        assert_eq!(
            text("<b a=\"x\" b='y'>&\u{1b}"),
            "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;\u{fffd}"
        );
    }

    #[test]
    fn images_are_shown_without_their_registry() {
        for (reference, wanted) in [
            ("localhost:5000/team/app:v1", "app <b>v1</b>"),
            ("nginx", "nginx"),
            ("a/b@sha256:ab", "b <b>sha256:ab</b>"),
        ] {
            let shown = image(reference);
            assert!(shown.contains(&format!(">{wanted}</span>")), "{shown}");
        }
    }

    #[test]
    fn times_are_relative_and_exact_in_the_title() {
        let now = Timestamp::from_second(100).unwrap();
        assert!(until("1970-01-01T00:01:45Z", now).contains(">in 5s<"));
        assert!(until("1970-01-01T00:01:35Z", now).contains(">now<"));
        assert!(ago("1970-01-01T00:01:35Z", now).contains("title=\"1970-01-01T00:01:35Z\">5s ago<"));
    }
}
