//! Faults of git: the branch is rewritten, deleted, flooded, refused. Prod keeps what was proved, and all of it mends
//! itself once git does.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::harness::git::{git, hermetic};
use crate::harness::scene::{DEADLINE, Scene};
use crate::harness::tags;
use crate::harness::wait::wait_for;

const STAGING: &str = "environments/staging/kustomization.yaml";

#[track_caller]
fn wait_for_log(daemon: &crate::harness::gitsync::Daemon, part: &str) {
    wait_for(DEADLINE, &format!("the log says {part:?}"), || {
        let log = daemon.log();
        if log.contains(part) { Ok(()) } else { Err(log) }
    });
}

#[test]
fn a_history_that_is_rewritten_is_followed_and_told() {
    let scene = Scene::new();
    let first = scene.remote.head();
    let daemon = scene.daemon();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    // Somebody throws the promotion away, and puts another image into staging.
    scene.remote.git(&["update-ref", "refs/heads/main", &first]).ok();
    scene.set_staging(&tags::good(1), &tags::good(2));
    wait_for_log(&daemon, "the history of the branch was rewritten");
    scene.wait_until_running("prod", &tags::good(2), &daemon);
    // The proof of the first image still stands, and may have been promoted again before the second one was set.
    let promotions = scene.promotions();
    let is_second =
        |(key, value): &(String, String)| key == "Gitsync-Image" && value.ends_with(&tags::good(2));
    let of_second = promotions
        .iter()
        .filter(|commit| commit.trailers.iter().any(is_second));
    assert_eq!(of_second.count(), 1, "{promotions:#?}");
}

#[test]
fn a_branch_that_is_deleted_changes_nothing_until_it_is_back() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    let tip = scene.remote.head();
    scene.remote.git(&["update-ref", "-d", "refs/heads/main"]).ok();
    wait_for_log(&daemon, "main");
    scene.wait_for_poll();
    scene.wait_for_poll();
    for environment in ["staging", "prod"] {
        assert_eq!(scene.running(environment), tags::good(1));
    }
    scene.remote.git(&["update-ref", "refs/heads/main", &tip]).ok();
    scene.set_staging(&tags::good(1), &tags::good(2));
    scene.wait_until_running("prod", &tags::good(2), &daemon);
}

#[test]
fn a_hook_that_refuses_the_promotion_is_quoted_and_asked_again() {
    let scene = Scene::new();
    scene.remote.refuse("the freeze is on");
    let daemon = scene.daemon();
    wait_for_log(&daemon, "the freeze is on");
    assert_eq!(scene.promotions().len(), 0);
    scene.remote.accept();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    assert_eq!(scene.promotions().len(), 1);
}

/// A limit on the size of files stands for the full disk: writes fail in the same places.
#[test]
fn a_disk_that_takes_no_more_is_told_and_what_was_missed_is_fetched_when_there_is_room() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    let limit = |bytes: &str| {
        let pid = daemon.pid().to_string();
        let status = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--fsize={bytes}:")])
            .status();
        assert!(status.expect("prlimit of util-linux").success());
    };
    limit("1048576");
    let clone = scene.remote.clone_to("large");
    let mut large = std::fs::File::create(clone.join("large.bin")).unwrap();
    let mut random = std::fs::File::open("/dev/urandom").unwrap().take(4 << 20);
    std::io::copy(&mut random, &mut large).unwrap();
    let overlay = scene.remote.read(STAGING).unwrap();
    std::fs::write(
        clone.join(STAGING),
        overlay.replace(&tags::good(1), &tags::good(2)),
    )
    .unwrap();
    scene.remote.commit_all(&clone, "Add what there is no room for");
    wait_for_log(&daemon, "cannot be kept: ");
    for environment in ["staging", "prod"] {
        assert_eq!(scene.running(environment), tags::good(1));
    }
    limit("unlimited");
    scene.wait_until_running("prod", &tags::good(2), &daemon);
    assert_eq!(scene.promotions().len(), 2);
}

/// A big repository: the environments are small, and most of the repository is no matter of theirs.
#[test]
#[ignore = "as big as GITSYNC_BIG_MEGABYTES says (1024)"]
fn a_repository_of_a_gigabyte_is_followed_like_a_small_one() {
    let megabytes: usize = std::env::var("GITSYNC_BIG_MEGABYTES").map_or(1024, |text| text.parse().unwrap());
    let scene = Scene::new();
    let clone = scene.remote.clone_to("big");
    // What is random cannot be compressed, and git would try for minutes.
    git(&clone, &["config", "core.compression", "0"]).ok();
    git(&clone, &["config", "core.bigFileThreshold", "1m"]).ok();
    std::fs::create_dir(clone.join("assets")).unwrap();
    let mut random = std::fs::File::open("/dev/urandom").unwrap().take(0);
    for number in 0..megabytes.div_ceil(64) {
        random.set_limit(64 << 20);
        let mut file = std::fs::File::create(clone.join(format!("assets/{number}.bin"))).unwrap();
        std::io::copy(&mut random, &mut file).unwrap();
    }
    for number in 0..20_000 {
        let directory = clone.join(format!("assets/small/{}", number / 500));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{number}.txt")), format!("{number}\n")).unwrap();
    }
    scene.remote.commit_all(&clone, "Add what is big");
    let begun = Instant::now();
    let daemon = scene.daemon();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    let first = begun.elapsed();
    scene.set_staging(&tags::good(1), &tags::good(2));
    let begun = Instant::now();
    scene.wait_until_running("prod", &tags::good(2), &daemon);
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let most = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    #[expect(clippy::print_stdout, reason = "figures for the documentation")]
    {
        println!(
            "{megabytes} MB: cold to prod {first:.1?}, next commit to prod {:.1?}, {most}",
            begun.elapsed()
        );
    }
}

/// A burst: the last commit counts, and the thousands before it are neither applied nor checked one by one.
#[test]
fn a_burst_of_ten_thousand_commits_comes_down_to_the_last() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    scene.wait_until_running("prod", &tags::good(1), &daemon);
    let overlay = scene.remote.read(STAGING).unwrap();
    let mut stream = String::new();
    for number in 0..10_000 {
        // The first continues the branch; each of the others continues the one before it.
        let from = if number == 0 {
            "from refs/heads/main^0\n"
        } else {
            ""
        };
        let tag = if number == 9_999 {
            tags::good(2)
        } else {
            tags::slow(number)
        };
        let text = overlay.replace(&tags::good(1), &tag);
        let written = write!(
            stream,
            "commit refs/heads/main\ncommitter A Developer <developer@example.com> {} +0000\ndata 1\nx\n{from}M 100644 inline {STAGING}\ndata {}\n{text}\n",
            1_900_000_000 + u64::from(number),
            text.len(),
        );
        written.unwrap();
    }
    let mut command = Command::new("git");
    hermetic(&mut command);
    command
        .current_dir(scene.remote.path())
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped());
    let mut import = command.spawn().unwrap();
    import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    scene.wait_until_running("prod", &tags::good(2), &daemon);
    assert_eq!(scene.promotions().len(), 2);
}
