//! `alerting`: what is read, and what holds when nothing is said.

use crate::support::{MAIN, MODULE, accepted, main_path, world};
use stagewatch::catalog::alerting::PushAuth;
use stagewatch::catalog::{Access, Alerting, Shown};
use stagewatch::config::{Overrides, load_with};
use std::path::PathBuf;
use std::time::Duration;

const FULL: &str = r#"service: { external_url: "https://watch.example/stagewatch" }
alerting:
  alertmanagers:
    - { name: plain, url: "http://alerts-1.example:9093", within: 1s }
    - name: tenant
      url: "https://alerts-2.example/prefix/"
      every_address: true
      basic: { user: stagewatch, password: { file: secrets/good } }
      headers: { X-Scope-OrgID: 7, X-Key: { env: STAGEWATCH_USER_1 } }
    - { name: token, url: "https://alerts-3.example", bearer: { file: secrets/good }, ca_file: ca.pem }
    - { name: workload, url: "https://alerts-4.example", bearer: { identity: { audience: "https://alerts-4.example" } } }
  lease: 40s
  resend: 10s
  sockets: { attempts: 2, confirm_within: 1s, probe_every: 5s, close_after: 2, close_for: 10s }
  checks: { failures: 4, passes: 2, unjudged: 5 }
  deploy_grace: 20s
  instance_series: floor
  time_to_page: 30s
  maintenance:
    - { starts: "0 3 * * 1", zone: Europe/Paris, lasts: 1h, modules: [websocket_events], reason: weekly upgrade }
  owner: chat
  monitor_owner: us
  runbooks: https://runbooks.example/alerts
  dashboards: https://grafana.example/d
  labels: { team: chat, tier: 2 }
"#;

fn with(alerting: &str, overrides: &Overrides) -> Alerting {
    let world = world(&format!("{MAIN}{alerting}"), MODULE).with_file("etc/ca.pem", "-----BEGIN CERTIFICATE-----\n");
    let loaded = load_with(&main_path(), &world, overrides);
    loaded.unwrap_or_else(|errors| panic!("{errors}")).alerting
}

#[test]
fn every_key_is_read() {
    let alerting = with(FULL, &Overrides::default());
    let [plain, tenant, token, workload] = alerting.alertmanagers.as_slice() else {
        panic!("{:?}", alerting.alertmanagers);
    };
    assert_eq!((plain.name.as_str(), plain.within), ("plain", Duration::from_secs(1)));
    assert!(matches!(plain.auth, PushAuth::Nobody) && !plain.every_address);
    assert_eq!(tenant.url.as_str(), "https://alerts-2.example/prefix/");
    assert!(tenant.every_address && tenant.within == Duration::from_secs(3));
    assert!(
        matches!(&tenant.auth, PushAuth::Basic { user, password } if user == "stagewatch" && password.expose() == "correct-horse")
    );
    let headers: Vec<_> = tenant
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(headers, [("X-Key", "one@staging.example"), ("X-Scope-OrgID", "7")]);
    assert!(matches!(&token.auth, PushAuth::Bearer(Shown::Fixed(secret)) if secret.expose() == "correct-horse"));
    let PushAuth::Bearer(Shown::Token(Access::Identity { metadata, audience })) = &workload.auth else {
        panic!("{:?}", workload.auth);
    };
    assert_eq!(
        (metadata.as_str(), audience.as_str()),
        ("http://metadata.google.internal/", "https://alerts-4.example")
    );
    assert_eq!(token.ca_file, Some(PathBuf::from("etc/ca.pem")));
    let seconds = |duration: Duration| duration.as_secs();
    assert_eq!((seconds(alerting.lease), seconds(alerting.resend)), (40, 10));
    let sockets = &alerting.sockets;
    assert_eq!((sockets.attempts, sockets.close_after), (2, 2));
    assert_eq!(
        [sockets.confirm_within, sockets.probe_every, sockets.close_for].map(seconds),
        [1, 5, 10]
    );
    let checks = &alerting.checks;
    assert_eq!((checks.failures, checks.passes, checks.unjudged), (4, 2, 5));
    assert_eq!(alerting.instance_series.as_deref(), Some("floor"));
    assert_eq!(alerting.time_to_page.map(seconds), Some(30));
    let window = &alerting.maintenance[0];
    assert_eq!(
        (window.starts.cron.as_str(), window.starts.zone.name()),
        ("0 3 * * 1", "Europe/Paris")
    );
    assert_eq!(
        (seconds(window.lasts), window.modules.as_slice()),
        (3600, ["websocket_events".to_owned()].as_slice())
    );
    assert_eq!(
        (alerting.owner.as_str(), alerting.monitor_owner.as_str()),
        ("chat", "us")
    );
    assert_eq!(alerting.labels["tier"], "2");
}

#[test]
fn what_is_left_out_has_the_documented_times() {
    let said = accepted(MAIN, MODULE).alerting;
    assert_eq!(format!("{said:?}"), format!("{:?}", Alerting::default()));
    assert_eq!(
        (said.lease, said.resend),
        (Duration::from_secs(120), Duration::from_secs(15))
    );
}

#[test]
fn times_are_real_ones() {
    let overrides = Overrides {
        time_scale: Some(0.01),
        ..Overrides::default()
    };
    let alerting = with(FULL, &overrides);
    assert_eq!(
        (alerting.lease, alerting.deploy_grace),
        (Duration::from_secs(40), Duration::from_secs(20))
    );
}

#[test]
fn the_command_line_names_the_only_alertmanager() {
    let overrides = Overrides {
        alertmanager: Some("http://127.0.0.1:1234".parse().unwrap()),
        ..Overrides::default()
    };
    let alerting = with(FULL, &overrides);
    let urls: Vec<_> = alerting.alertmanagers.iter().map(|one| one.url.as_str()).collect();
    assert_eq!(urls, ["http://127.0.0.1:1234/"]);
    // What the page links to is needed all the same.
    let refused = load_with(&main_path(), &world(MAIN, MODULE), &overrides).unwrap_err();
    let said: Vec<_> = refused.mistakes().iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "alerts are pushed, and nobody knows under which URL this daemon is reached",
            "alerts are pushed, and there is no `runbooks`"
        ]
    );
}
