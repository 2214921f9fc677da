//! The audit of a page: what a program can check of WCAG 2.2 AA, in light and in dark, on a desk and on a phone.

use serde_json::Value;

use crate::harness::browser::{Look, Page};

/// Roles that need a name.
const NAMED: [&str; 9] = [
    "button",
    "link",
    "textbox",
    "combobox",
    "region",
    "img",
    "image",
    "navigation",
    "progressbar",
];

/// What is focused now, and whether that can be seen.
const FOCUSED: &str = "(() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const style = getComputedStyle(node);
  const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return { seen, name: node.outerHTML.slice(0, 100) };
})()";

/// How many stops of the Tab key there ought to be.
const STOPS: &str = "[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary, [tabindex=\"0\"]')]
  .filter((node) => node.checkVisibility({ checkVisibilityCSS: true })).length";

/// The most presses of Tab.
const MOST_STOPS: usize = 400;

/// Everything that is wrong with the page that is open.
pub fn audit(page: &Page, what: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (width, height) in [(1280, 900), (390, 844), (320, 640)] {
        for dark in [false, true] {
            page.look(Look { width, height, dark });
            let found = page.run(include_str!("audit.js"));
            let found = found.as_array().cloned().unwrap_or_default();
            let look = if dark { "dark" } else { "light" };
            let told = found.iter().filter_map(Value::as_str);
            wrong.extend(told.map(|told| format!("{what}, {width} px, {look}: {told}")));
        }
    }
    wrong.extend(nameless(page).into_iter().map(|told| format!("{what}: {told}")));
    wrong.extend(
        by_keyboard(page)
            .into_iter()
            .map(|told| format!("{what}: {told}")),
    );
    wrong
}

/// What a screen reader cannot name.
fn nameless(page: &Page) -> Vec<String> {
    let nodes = page.accessibility();
    let is_nameless = |node: &&Value| {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let name = node["name"]["value"].as_str().unwrap_or_default();
        node["ignored"] != true && NAMED.contains(&role) && name.trim().is_empty()
    };
    let found = nodes.iter().filter(is_nameless);
    found
        .map(|node| {
            format!(
                "a {} without a name: {}",
                node["role"]["value"], node["properties"]
            )
        })
        .collect()
}

/// Has the next Tab begin at the top: a browser goes on from where the focus was last, also after it is gone.
const FROM_THE_TOP: &str = "(() => {
  const root = document.documentElement;
  root.tabIndex = -1;
  root.focus();
  root.removeAttribute('tabindex');
  window.getSelection().removeAllRanges();
  scrollTo(0, 0);
})()";

/// What the Tab key does not reach, and where nobody sees that it did.
fn by_keyboard(page: &Page) -> Vec<String> {
    page.run(FROM_THE_TOP);
    let stops = page.run(STOPS).as_u64().unwrap_or_default();
    let mut wrong = Vec::new();
    let mut reached = 0;
    for _ in 0..MOST_STOPS {
        page.press("Tab");
        let focused = page.run(FOCUSED);
        if focused.is_null() {
            break;
        }
        reached += 1;
        if focused["seen"] != true {
            wrong.push(format!("nobody sees the focus on {}", focused["name"]));
        }
    }
    if reached < stops {
        wrong.push(format!("Tab reaches {reached} of {stops}"));
    }
    wrong
}
