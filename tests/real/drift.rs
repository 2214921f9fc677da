//! Drift: what somebody changes in a cluster by hand is put back.

use super::stage::Stage;
use crate::harness::tags;

#[test]
fn a_hand_edit_and_a_deleted_service_are_put_back() {
    let stage = Stage::new();
    let daemon = stage.daemon();
    stage.wait_until_running("prod", &tags::good(1));
    let prod = &stage.pair().prod;

    prod.kubectl(&["scale", "deployment/flask-app", "--replicas=1", "-n", "flask-app"])
        .expect_code(0);
    stage.wait_for("the replicas to be put back", || {
        match stage.field("prod", "deployments/flask-app", "/spec/replicas") {
            found if found == "3" => Ok(()),
            found => Err(found),
        }
    });
    stage.wait_for("the log to tell which field and who", || {
        let log = daemon.log();
        if log.contains(".spec.replicas") && log.contains("kubectl") {
            Ok(())
        } else {
            Err(log)
        }
    });

    let image = format!("flask-app={}:{}", stage.image(), tags::good(9));
    prod.kubectl(&["set", "image", "deployment/flask-app", &image, "-n", "flask-app"])
        .expect_code(0);
    stage.wait_until_running("prod", &tags::good(1));

    prod.kubectl(&["delete", "service", "flask-app-service", "-n", "flask-app"])
        .expect_code(0);
    stage.wait_for("the service to be put back", || {
        if stage.exists("prod", "services/flask-app-service") {
            Ok(())
        } else {
            Err("it is not there".to_owned())
        }
    });
    assert_eq!(stage.promotions(), 1, "drift is no reason to promote");
}
