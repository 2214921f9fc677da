//! Acts: the demo's story, one function for each thing that happens.

use std::time::{Duration, Instant};

use sandbox::Patch;
use serde_json::json;

use super::Stop;
use super::example::CHECK_SECONDS;
use super::follow::Look;
use super::screen::{Row, Screen};
use super::stage::{Stage, author};
use crate::cli::failure::{Failure, Kind};
use crate::report::paint::Tone;

/// The name of the application, of its namespace and of its Deployment.
pub const APP: &str = "flask-app";

/// The image's repository.
const IMAGE: &str = "sanjeev-thiyagarajan/jenkins-flask-app";

/// What the example's overlays have, and what CI builds next.
const FIRST_IN_PROD: &str = "9f31c0de";
const FIRST: &str = "abc123de";
const GOOD: &str = "900d0002";
const SLOW: &str = "510a0003";

/// The story, as far as it is told.
pub struct Story<'a, 'ui> {
    /// Where it is told.
    pub screen: &'a mut Screen<'ui>,
    /// Where it happens.
    pub stage: &'a Stage,
    /// How many promotions git has.
    pub promotions: usize,
}

impl<'a, 'ui> Story<'a, 'ui> {
    /// A story that has not begun.
    pub fn new(screen: &'a mut Screen<'ui>, stage: &'a Stage) -> Self {
        Self {
            screen,
            stage,
            promotions: 0,
        }
    }

    /// What is there before anything happens.
    pub fn opening(&mut self) -> Result<(), Stop> {
        let paint = self.screen.paint();
        let title = paint.tone(Tone::Strong, "gitsync demo");
        let note = paint.tone(Tone::Warn, "a sandbox");
        self.screen.put(&format!("\n   {title}: {note}\n"))?;
        self.screen.prose(
            "Two Kubernetes APIs inside of this process play staging and prod; their pods are small HTTP servers on \
             loopback. Nothing real is touched, and everything goes with the demo.",
        )?;
        self.screen.gap()?;
        let stage = self.stage;
        for (what, text) in [
            ("staging", stage.staging.access().server),
            ("prod", stage.prod.access().server),
            ("git", stage.repository()),
            ("dashboard", format!("http://{}/", stage.dashboard)),
            (
                "gate",
                format!("10 users for {CHECK_SECONDS} s (10 s in policies/load-check.yaml), p(90)<600 ms"),
            ),
        ] {
            let what = paint.tone(Tone::Dim, &format!("{what:9}"));
            self.screen.put(&format!("   {what}  {text}\n"))?;
        }
        Ok(())
    }

    /// Both environments come to be what git says, and staging proves its image.
    pub async fn first_deployment(&mut self) -> Result<(), Stop> {
        self.screen.heading(1, "First deployment")?;
        self.screen.prose(
            "Git has an overlay for each environment. gitsync renders and applies both and waits for the rollouts; \
             then staging's image has to prove itself under load before prod gets it.",
        )?;
        self.screen.gap()?;
        let tip = self.stage.tip().await?;
        self.applied("staging", tip.as_str()).await?;
        self.rolled_out("staging", FIRST).await?;
        self.applied("prod", tip.as_str()).await?;
        self.rolled_out("prod", FIRST_IN_PROD).await?;
        self.passes(tip.as_str()).await?;
        self.promoted().await?;
        self.rolled_out("prod", FIRST).await
    }

    /// A commit of CI reaches prod, and nobody does anything for it.
    pub async fn good_commit(&mut self) -> Result<(), Stop> {
        self.screen.heading(2, "A good commit goes to prod")?;
        self.screen.prose(&format!(
            "CI built commit {GOOD} and writes its tag into staging's overlay. Nobody does anything after that."
        ))?;
        let revision = self.set_image(GOOD).await?;
        self.applied("staging", &revision).await?;
        self.rolled_out("staging", GOOD).await?;
        self.passes(&revision).await?;
        let promotion = self.promoted().await?;
        for trailer in &promotion.trailers {
            self.screen
                .quote(&format!("{}: {}", trailer.key, trailer.value))?;
        }
        self.applied("prod", &promotion.commit.revision).await?;
        self.rolled_out("prod", GOOD).await
    }

    /// An image that is too slow does not get any further than staging.
    pub async fn slow_image(&mut self) -> Result<(), Stop> {
        self.screen.heading(3, "A slow image is stopped")?;
        self.screen.prose(&format!(
            "The next image, {SLOW}, starts and answers, but every answer takes 700 ms. In staging nobody would notice."
        ))?;
        let revision = self.set_image(SLOW).await?;
        self.applied("staging", &revision).await?;
        self.rolled_out("staging", SLOW).await?;
        let verification = self.verified(&revision).await?;
        if verification.verdict != "failed" {
            return Err(unexpected("the slow image passed", &verification.reason));
        }
        self.screen.detail(&verification.reason, Some(Tone::Bad))?;
        let prod = self
            .stage
            .hub
            .board()
            .environment("prod")
            .map(|prod| prod.images.clone());
        match prod.unwrap_or_default().as_slice() {
            [image] if image.ends_with(GOOD) => {
                let row = Row::new("prod", "keeps", format!("{GOOD}, and nobody noticed"));
                self.screen.ended(true, &row, Duration::ZERO)
            }
            other => Err(unexpected("prod has another image", &other.join(", "))),
        }
    }

    /// What somebody changes in prod by hand is put back.
    pub async fn hand_edit(&mut self) -> Result<(), Stop> {
        self.screen.heading(4, "A hand edit is healed")?;
        self.screen.prose(
            "Somebody is in a hurry and sets the slow image in prod. (The demo does it through the sandbox's API, in \
             kubectl's name.)",
        )?;
        self.screen.command(&format!(
            "kubectl --context prod -n {APP} set image deployment/{APP} {APP}={IMAGE}:{SLOW}"
        ))?;
        self.screen.gap()?;
        let containers = json!([{"name": APP, "image": format!("{IMAGE}:{SLOW}")}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let client = self.stage.prod.cluster().client("kubectl-set");
        let began = Instant::now();
        let edited = client.patch("deployments.apps", APP, APP, Patch::Strategic(patch));
        edited.map_err(|status| unexpected("the sandbox refuses the edit", &status.to_string()))?;
        let (healed, _) = self
            .follow(|board| {
                let healed = board.environment("prod").and_then(|view| view.healed.first());
                healed.map_or_else(
                    || Look::Going(Row::new("prod", "drift", "is noticed")),
                    |healed| Look::Done(healed.clone()),
                )
            })
            .await?;
        let took = began.elapsed();
        let by = format!("{} wrote a field that git decides", healed.by);
        self.screen.noticed(&Row::new("prod", "drift", by))?;
        self.screen.quote(&healed.field)?;
        let text = format!("{GOOD} is asked for again");
        self.screen.ended(true, &Row::new("prod", "healed", text), took)?;
        self.rolled_out("prod", GOOD).await
    }

    /// Prod goes back to what it had before, by a commit.
    pub async fn rollback(&mut self) -> Result<(), Stop> {
        self.screen.heading(5, "A rollback")?;
        self.screen.prose(&format!(
            "{GOOD} loses orders, which no load check sees. Going back is a commit too. It needs no healthy staging, \
             and the image goes into quarantine, so that no promotion brings it back.",
        ))?;
        let args = ["rollback", "prod", "--reason", "loses orders"];
        self.play("on-call", "gitsync rollback prod --reason 'loses orders'", &args)
            .await?;
        let tip = self.stage.tip().await?;
        self.applied("prod", tip.as_str()).await?;
        self.rolled_out("prod", FIRST).await
    }

    /// What git and gitsync have to say in the end.
    pub async fn what_remains(&mut self) -> Result<(), Stop> {
        self.screen.heading(6, "What remains")?;
        self.follow(|board| match board.environment("prod") {
            Some(prod) if prod.state == crate::report::board::State::Synced => Look::Done(()),
            _ => Look::Going(Row::new("prod", "settles", "")),
        })
        .await?;
        let args = ["status"];
        self.say("demo", "gitsync status", &args).await?;
        self.screen.command("git log --format='%h %an: %s'")?;
        let commits = self.stage.commits().await?;
        let line = |commit: &crate::world::git::Commit| {
            let name = commit.author.split(" <").next().unwrap_or_default();
            format!("{} {name}: {}\n", commit.revision.short(), commit.subject)
        };
        self.screen.output(&commits.iter().map(line).collect::<String>())
    }

    /// CI sets a tag in staging; gives the commit.
    async fn set_image(&mut self, tag: &str) -> Result<String, Stop> {
        let image = format!("{APP}={IMAGE}:{tag}");
        let args = ["image", "set", "--env", "staging", "--push", &image];
        self.play("ci", &format!("gitsync {}", args.join(" ")), &args)
            .await?;
        Ok(self.stage.tip().await?.to_string())
    }

    /// Runs a command of gitsync that makes something happen.
    async fn play(&mut self, who: &str, line: &str, args: &[&str]) -> Result<(), Stop> {
        self.say(who, line, args).await?;
        self.screen.gap()
    }

    /// Runs a command of gitsync, with what it says.
    async fn say(&mut self, who: &str, line: &str, args: &[&str]) -> Result<(), Stop> {
        self.screen.command(line)?;
        let said = self.stage.run(author(who), args, self.screen.paint()).await?;
        self.screen.output(&said)
    }

    async fn passes(&mut self, revision: &str) -> Result<(), Stop> {
        let verification = self.verified(revision).await?;
        match verification.verdict.as_str() {
            "passed" => Ok(()),
            _ => Err(unexpected("a good image did not pass", &verification.reason)),
        }
    }
}

fn unexpected(what: &str, why: &str) -> Stop {
    Stop::Failed(Failure::new(Kind::Bug, format!("{what}: {why}")))
}
