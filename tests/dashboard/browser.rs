//! The dashboard in a browser: the story as a person watches it, actions as a person does them, and pictures.

use std::path::PathBuf;

use super::audit::audit;
use super::stage::{STAGING, Stage, TOKEN};
use crate::harness::browser::{Browser, Look, Page};
use crate::harness::tags;

/// The pages that there are, by the names of their pictures.
const PAGES: [(&str, &str); 4] = [
    ("overview", "/"),
    ("staging", "/environments/staging"),
    ("prod", "/environments/prod"),
    ("history", "/history"),
];

/// An expression that is true when the card of an environment has that state.
fn state(name: &str, state: &str) -> String {
    format!("document.querySelector('[data-name={name}][data-state={state}]')")
}

/// The page asked nobody but the daemon, and complained about nothing.
#[track_caller]
fn assert_quiet(stage: &Stage, page: &Page) {
    let own = stage.url("");
    let foreign: Vec<String> = page
        .asked()
        .into_iter()
        .filter(|url| !url.starts_with(&own))
        .collect();
    assert!(foreign.is_empty(), "asked elsewhere: {foreign:?}");
    let complaints = page.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

fn sign_in(stage: &Stage, page: &Page, name: &str) {
    page.open(&stage.url("/login"));
    page.type_into("#token", TOKEN);
    page.type_into("#name", name);
    page.follow("document.querySelector('form[action=\"/login\"] button').click()");
}

#[test]
#[ignore = "needs Chromium"]
fn the_page_tells_the_story_while_it_happens() {
    let stage = Stage::new();
    let browser = Browser::start();
    let page = browser.page();
    page.look(Look {
        width: 1280,
        height: 900,
        dark: false,
    });
    // The page is opened once; whatever comes, comes by itself.
    page.open(&stage.url("/"));
    page.run("window.opened = true");
    page.wait_until("document.querySelector('.gate progress')");
    page.wait_until(&state("prod", "synced"));
    page.wait_until(&format!(
        "document.querySelector('[data-name=prod] .images').innerText.includes('{}')",
        tags::good(1)
    ));

    stage.set_staging(&tags::slow(2));
    page.wait_until(
        "document.querySelector('.plot polyline.p90') && document.querySelector('.plot line.bound')",
    );
    page.wait_until(&state("staging", "failed"));
    page.wait_until("document.body.innerText.includes('held back')");
    page.wait_until("document.querySelector('.plot.over') && document.querySelector('.badge.bad')");
    let text = page.text();
    for part in ["http_req_duration", &tags::slow(2), "limit 2s", "acceptance"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(page.run("window.opened"), true, "the page was never loaded again");
    // What changed was said to who cannot see it.
    page.wait_until("document.getElementById('announce').textContent.includes('staging is failed')");

    for (name, path) in PAGES {
        page.open(&stage.url(path));
        let wrong = audit(&page, name);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    page.open(&stage.url("/environments/staging"));
    let text = page.text();
    for part in ["Deployment flask-app/flask-app", "ReplicaSet", "Pod", "healthy"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_quiet(&stage, &page);

    // Another page without scripts reads the same.
    let plain = browser.page();
    plain.scripts(false);
    for (_, path) in PAGES {
        plain.open(&stage.url(path));
    }
    plain.open(&stage.url("/"));
    let tree = plain.accessibility();
    let names: Vec<&str> = tree
        .iter()
        .filter_map(|node| node["name"]["value"].as_str())
        .collect();
    assert!(
        names.iter().any(|name| name.contains(&tags::slow(2))),
        "{names:?}"
    );
}

#[test]
#[ignore = "needs Chromium"]
fn a_person_acts_on_the_page_and_only_after_signing_in() {
    let stage = Stage::with(&[], |remote| {
        let gate = "  - loadCheck: acceptance\n";
        let policy = "policies/promotion.yaml";
        remote.replace(policy, gate, &format!("{gate}  - approval: required\n"));
    });
    let browser = Browser::start();
    let page = browser.page();
    page.open(&stage.url("/environments/prod"));
    page.wait_until("document.querySelector('#next .diff')");
    assert_eq!(page.run("document.querySelectorAll('main form').length"), 0);
    let wrong = audit(&page, "prod, read only");
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A form of another page, or without a session, does nothing.
    let before = stage.remote.head();
    let forged = "fetch('/environments/prod/rollback', {method: 'POST', body: new URLSearchParams({form: 'x', reason: 'x'})}).then((answer) => answer.status)";
    assert_eq!(page.run(forged), 403);
    assert_eq!(stage.remote.head(), before);
    assert!(page.complaints().iter().all(|told| told.contains("403")));

    let page = browser.page();
    page.open(&stage.url("/login"));
    page.type_into("#token", "not the token");
    page.follow("document.querySelector('form button').click()");
    assert!(page.text().contains("That is not the token"), "{}", page.text());
    let wrong = audit(&page, "sign in");
    assert!(wrong.is_empty(), "{wrong:#?}");

    let page = browser.page();
    sign_in(&stage, &page, "Ann");
    page.open(&stage.url("/environments/prod"));
    page.wait_until("document.querySelector('form[action$=\"/approve\"]')");
    let wrong = audit(&page, "prod, signed in");
    assert!(wrong.is_empty(), "{wrong:#?}");
    page.follow("document.querySelector('form[action$=\"/approve\"] button').click()");
    page.wait_until(&state("prod", "synced"));
    stage.wait_until_synced("prod", &tags::good(1));

    // By the keyboard alone: the panel opens, the reason is typed, Enter sends it.
    page.open(&stage.url("/environments/prod"));
    page.run("document.querySelector('#suspend summary').focus()");
    page.press("Enter");
    page.wait_until("document.querySelector('#suspend').open");
    page.type_into("#suspend-reason", "the audit");
    let wrong = audit(&page, "prod, with a form open");
    assert!(wrong.is_empty(), "{wrong:#?}");
    page.follow("document.querySelector('#suspend form').requestSubmit()");
    page.wait_until("document.querySelector('[aria-label=Suspended]')");
    assert!(page.text().contains("the audit"), "{}", page.text());
    assert_eq!(stage.remote.log()[0].author, "Ann (gitsync dashboard)");
    page.follow("document.querySelector('form[action$=\"/resume\"] button').click()");
    page.wait_until("!document.querySelector('[aria-label=Suspended]')");

    page.run("document.querySelector('#rollback').open = true");
    page.type_into("#rollback-reason", "it leaks");
    page.follow("document.querySelector('#rollback form button').click()");
    stage.wait_until_synced("prod", &tags::good(0));
    page.open(&stage.url("/environments/prod"));
    let text = page.text();
    assert!(
        text.contains("goes back to") && text.contains("Ann (gitsync dashboard)"),
        "{text}"
    );
    let wrong = audit(&page, "prod, rolled back");
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What cannot be done says why.
    page.run("document.querySelector('#rollback').open = true");
    page.type_into("#rollback-reason", "again");
    page.follow("document.querySelector('#rollback form button').click()");
    assert!(page.text().contains("Not done: rollback"), "{}", page.text());
    let foreign: Vec<String> = page.asked();
    assert!(
        foreign.iter().all(|url| url.starts_with(&stage.url(""))),
        "{foreign:?}"
    );
}

/// Makes the pictures of the README and, in `$GITSYNC_SCREENSHOTS`, those of every page in every look:
/// `cargo test --test main -- --ignored browser::screenshots`.
#[test]
#[ignore = "needs Chromium"]
fn screenshots() {
    let stage = Stage::as_it_is(|remote| {
        remote.replace("policies/load-check.yaml", "duration: 3s", "duration: 12s");
    });
    stage.wait_until_synced("prod", &tags::good(1));
    let browser = Browser::start();
    let page = browser.page();
    sign_in(&stage, &page, "Ann");
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs");
    stage.set_staging(&tags::slow(2));
    page.open(&stage.url("/"));
    page.wait_until("document.querySelectorAll('.plot polyline.p90').length && document.querySelector('.gate progress')?.value > 6");
    for (file, dark) in [("dashboard.png", false), ("dashboard-dark.png", true)] {
        page.look(Look {
            width: 1280,
            height: 900,
            dark,
        });
        page.picture(&docs.join(file), true);
    }
    page.wait_until(&state("staging", "failed"));
    let overlay = stage.remote.read(STAGING).unwrap();
    assert!(overlay.contains(&tags::slow(2)), "{overlay}");
    let Some(directory) = std::env::var_os("GITSYNC_SCREENSHOTS").map(PathBuf::from) else {
        return;
    };
    for (name, path) in PAGES {
        page.open(&stage.url(path));
        page.run(
            "document.querySelectorAll('details').forEach((node) => { node.open = node.id !== 'suspend'; })",
        );
        for (size, width, height) in [("wide", 1280, 900), ("narrow", 390, 844)] {
            for (word, dark) in [("light", false), ("dark", true)] {
                page.look(Look { width, height, dark });
                page.picture(&directory.join(format!("{name}-{size}-{word}.png")), true);
            }
        }
    }
}
