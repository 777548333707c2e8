//! A reload changes what has changed, and nothing else; a bad one changes nothing.

use crate::process::{Beside, Process, main_file, write_secret};
use crate::support::{API_TOKEN, eventually, rehearsal};
use serde_json::Value;
use stagewatch::app::daemon::{self, Running};
use stagewatch::app::reload::Changed;
use stagewatch::catalog::Catalog;
use stagewatch::config::{self, MemoryEnvironment, Overrides};
use stagewatch::rehearsal::Rehearsal;
use stagewatch::secret::Secret;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// Runs each second, and once at the start: a scenario that began anew has run twice.
const MODULE: &str = r#"
module: NAME
number: NUMBER
title: Module NAME
severity: warning
owner: engine
scenarios:
  often: { schedule: { every: 60s }, deadline: 5s, steps: [ { http: { id: probe, base: api, path: /health } } ] }
  once: { schedule: { every: 6h }, deadline: 5s, steps: [ { http: { id: first, base: api, path: /health } } ] }
checks:
  - { id: often, title: Answers, parts: [ { needs: [often], expect: [ { that: "probe.status == 200" } ] } ] }
  - { id: once, title: Answers at the start, parts: [ { needs: [once], expect: [ { that: "first.status == 200" } ] } ] }
"#;

fn module(name: &str, number: &str) -> String {
    MODULE.replace("NAME", name).replace("NUMBER", number)
}

/// A configuration of these modules.
fn catalog(rehearsal: &Rehearsal, folder: &Path, modules: &[(&str, &str)], facts: &str) -> Arc<Catalog> {
    let main = main_file(
        &rehearsal.backend_addr().to_string(),
        &rehearsal.auth_addr().to_string(),
    );
    let main = main.replace("service: netra-ai-platform", facts);
    let mut environment = MemoryEnvironment::new(stagewatch::clock::now()).with_file("main.yaml", main);
    for (name, text) in modules {
        environment = environment.with_file(format!("modules/{name}.yaml"), *text);
    }
    let overrides = Overrides {
        listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
        data_dir: Some(folder.to_owned()),
        api_token: Some(Secret::new(API_TOKEN)),
        ..Overrides::default()
    };
    let loaded = config::load_with(Path::new("main.yaml"), &environment, &overrides);
    Arc::new(loaded.unwrap_or_else(|errors| panic!("{errors}")))
}

/// Every series of the exposition with its value.
async fn series(url: &str) -> BTreeMap<String, f64> {
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn passed(module: &str, check: &str) -> String {
    format!("stagewatch_check_runs_total{{check=\"{check}\",module=\"{module}\",verdict=\"pass\"}}")
}

async fn metrics(running: &Running) -> BTreeMap<String, f64> {
    series(&format!("http://{}/metrics", running.address())).await
}

/// Waits until every check has passed.
async fn all_pass(running: &Running) {
    eventually(SOON, "a pass of every check", async || {
        let counts = running.live().status().summary.checks;
        (counts.pass > 0 && counts.fail + counts.unknown == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_changes_what_has_changed_and_nothing_else() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let (m, n) = (module("m", "1"), module("n", "2"));
    let first = catalog(&rehearsal, folder.path(), &[("m", &m), ("n", &n)], "a: 1");
    let mut running = daemon::start(first).await.unwrap();
    all_pass(&running).await;
    let before = metrics(&running).await;

    // One module changes: a check goes, another comes, a title is another.
    let changed = n
        .replace("Answers at the start", "Something else")
        .replace("id: often", "id: other");
    let next = catalog(&rehearsal, folder.path(), &[("m", &m), ("n", &changed)], "a: 1");
    let begun = vec!["n".to_owned()];
    let expected = Changed {
        same: 1,
        begun,
        gone: Vec::new(),
    };
    assert_eq!(running.reload(next).await.unwrap(), expected);
    let after = metrics(&running).await;
    for (name, value) in &before {
        let counts = name.contains("_total") || name.contains("_count") || name.contains("_bucket");
        if counts && !name.contains("check=\"often\",module=\"n\"") {
            assert!(
                after.get(name).is_some_and(|now| now >= value),
                "{name} was {value}, is {:?}",
                after.get(name)
            );
        }
    }
    assert!(!after.keys().any(|name| name.contains("check=\"often\",module=\"n\"")));
    assert!(after.contains_key(&passed("n", "other")));
    let named = |title: &str| {
        after.keys().any(|name| {
            name.starts_with("stagewatch_check_info{check=\"once\",module=\"n\",")
                && name.contains(&format!("title=\"{title}\""))
        })
    };
    assert!(named("Something else") && !named("Answers at the start"));
    assert_eq!(
        after["stagewatch_check_verdict{check=\"often\",module=\"m\",verdict=\"pass\"}"],
        1.0
    );
    assert_eq!(after["stagewatch_config_last_reload_successful"], 1.0);
    let later = eventually(SOON, "the changed module begins anew", async || {
        let now = metrics(&running).await;
        (now[&passed("n", "once")] >= 2.0).then_some(now)
    })
    .await;
    assert_eq!(later[&passed("n", "once")], 2.0);
    assert_eq!(
        later[&passed("m", "once")],
        1.0,
        "the unchanged module was not begun anew"
    );

    // What everything stands on changes, and a module goes.
    let next = catalog(&rehearsal, folder.path(), &[("m", &m)], "a: 2");
    let changed = running.reload(next).await.unwrap();
    assert_eq!(
        (changed.same, changed.begun, changed.gone),
        (0, vec!["m".to_owned()], vec!["n".to_owned()])
    );
    let left = metrics(&running).await;
    assert!(!left.keys().any(|name| name.contains("module=\"n\"")), "{left:#?}");
    assert!(left[&passed("m", "often")] >= later[&passed("m", "often")]);
    eventually(SOON, "a second first run", async || {
        (metrics(&running).await[&passed("m", "once")] >= 2.0).then_some(())
    })
    .await;
    assert_eq!(running.live().status().modules.len(), 1);
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_refused_whole() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let m = module("m", "1");
    let mut running = daemon::start(catalog(&rehearsal, folder.path(), &[("m", &m)], "a: 1"))
        .await
        .unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let next = catalog(&rehearsal, elsewhere.path(), &[("m", &m)], "a: 2");
    let refused = running.reload(next).await.unwrap_err();
    assert!(refused.contains("service.data_dir has changed"), "{refused}");
    let status = running.live().status();
    assert_eq!(status.config_refused.as_deref(), Some(refused.as_str()));
    assert_eq!(metrics(&running).await["stagewatch_config_last_reload_successful"], 0.0);
    running.shutdown().await;
    rehearsal.shutdown().await;
}

async fn reload(process: &Process, token: &str) -> (u16, String) {
    let request = reqwest::Client::new().post(process.url("/-/reload")).bearer_auth(token);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn status(process: &Process) -> Value {
    let answer = reqwest::get(process.url("/api/v1/status")).await.unwrap();
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_configurations_change_nothing() {
    let Beside {
        config,
        folder,
        main,
        rehearsal,
    } = Beside::start().await;
    let module_file = folder.path().join("modules/m.yaml");
    let good = std::fs::read_to_string(&module_file).unwrap();
    let process = Process::start(&config, |_| {});
    let digest = status(&process).await["config_digest"].clone();

    let bad = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad");
    let mut offered: Vec<_> = std::fs::read_dir(bad)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    offered.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    offered.sort();
    let mut refused = 0;
    for path in offered.iter().step_by(7) {
        let text = std::fs::read(path).unwrap();
        let file = if text.starts_with(b"module:") {
            &module_file
        } else {
            &config
        };
        std::fs::write(file, &text).unwrap();
        let (code, said) = reload(&process, API_TOKEN).await;
        assert_eq!(code, 422, "{}: {said}", path.display());
        let now = status(&process).await;
        assert_eq!(now["config_digest"], digest);
        assert!(
            now["config_refused"]
                .as_str()
                .is_some_and(|why| why.starts_with("error")),
            "{now}"
        );
        std::fs::write(&config, &main).unwrap();
        std::fs::write(&module_file, &good).unwrap();
        refused += 1;
    }
    assert!(refused >= 20, "only {refused} were offered");
    // Half of a file, and none.
    std::fs::write(&module_file, &good[..good.len() / 2]).unwrap();
    assert_eq!(reload(&process, API_TOKEN).await.0, 422);
    std::fs::remove_file(&config).unwrap();
    assert_eq!(reload(&process, API_TOKEN).await.0, 422);
    let gathered = series(&process.url("/metrics")).await;
    assert_eq!(gathered["stagewatch_config_last_reload_successful"], 0.0);

    std::fs::write(&config, &main).unwrap();
    std::fs::write(&module_file, good.replace("Small module", "Another title")).unwrap();
    process.signal("HUP");
    eventually(SOON, "the good one is taken", async || {
        let now = status(&process).await;
        (now["config_digest"] != digest && now["modules"][0]["title"] == "Another title").then_some(())
    })
    .await;
    assert!(status(&process).await["config_refused"].is_null());
    eventually(SOON, "the metric says so", async || {
        let gathered = series(&process.url("/metrics")).await;
        (gathered["stagewatch_config_last_reload_successful"] == 1.0).then_some(())
    })
    .await;
    let (ended, _) = process.end();
    assert!(ended.success());
    rehearsal.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_is_taken_without_asking() {
    let Beside {
        config,
        folder,
        rehearsal,
        ..
    } = Beside::start().await;
    let process = Process::start(&config, |_| {});
    assert_eq!(reload(&process, "another-token-of-ours").await.0, 401);
    write_secret(&folder.path().join("token"), "another-token-of-ours");
    eventually(SOON, "the new token is taken", async || {
        let answer = reqwest::Client::new()
            .post(process.url("/api/v1/run"))
            .bearer_auth("another-token-of-ours")
            .json(&serde_json::json!({ "all": true }))
            .send();
        tokio::time::sleep(Duration::from_secs(2)).await;
        (answer.await.unwrap().status() == 202).then_some(())
    })
    .await;
    assert_eq!(
        reload(&process, API_TOKEN).await.0,
        401,
        "the old one is not let in any more"
    );
    // A broken one is refused by name, and what was in force stays.
    write_secret(&folder.path().join("token"), "with-a-line-end\r\n");
    eventually(SOON, "the broken one is refused", async || {
        let why = status(&process).await["config_refused"].as_str().map(str::to_owned);
        why.filter(|why| why.contains("secret file token") && !why.contains("with-a-line-end"))
    })
    .await;
    assert_eq!(reload(&process, "another-token-of-ours").await.0, 422);
    drop(process);
    rehearsal.shutdown().await;
}
