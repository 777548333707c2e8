//! What is accepted, and what becomes of it.

use crate::support::{MAIN, MODULE, accepted, main_path, refused, world};
use stagewatch::catalog::step::{Action, Auth, CaptureKind, OnFailure, Silence, TokenKind};
use stagewatch::catalog::{Catalog, CredentialSource, Pool, Schedule};
use stagewatch::config::{Overrides, load, load_with};
use stagewatch::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;

fn scenario<'a>(catalog: &'a Catalog, id: &str) -> &'a stagewatch::catalog::Scenario {
    catalog.scenarios().find(|scenario| scenario.id == id).unwrap()
}

fn pool<'a>(catalog: &'a Catalog, name: &str) -> &'a Pool {
    match &catalog.credentials[name] {
        CredentialSource::Pool(pool) => pool,
        CredentialSource::Mint(_) => panic!("{name} is minted"),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn steps_are_compiled_in_order_with_their_defaults() {
    let catalog = accepted(MAIN, MODULE);
    let scenario = scenario(&catalog, "websocket_events/handshake");
    assert!(scenario.enabled && scenario.feeds_watch);
    assert_eq!(
        scenario.vars.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["a", "b", "limit"]
    );
    let ids: Vec<&str> = scenario.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "health", "upgrade", "welcome", "step1", "tampered", "login", "me", "floor", "step2", "step3", "step4",
            "step6"
        ]
    );
    assert_eq!(scenario.steps[0].within, seconds(1));
    assert_eq!(scenario.steps[1].within, stagewatch::limits::STEP_WITHIN);
    assert_eq!(scenario.cleanup[0].on_failure, OnFailure::GoOn);
    let Action::Receive(receive) = &scenario.steps[2].action else {
        panic!("no receive")
    };
    assert_eq!((receive.on.as_str(), receive.silence), ("main", Silence::Fails));
    assert!(scenario.steps[2].captures[0].required);
    let Action::Open(open) = &scenario.steps[4].action else {
        panic!("no open")
    };
    assert_eq!(open.settle, Some(seconds(2)));
    assert!(
        matches!(&open.auth, Auth::Header { credential, token: TokenKind::Tampered } if credential == "credential")
    );
    assert_eq!(
        scenario.steps[4].within,
        seconds(12),
        "a settling open has the settling time more"
    );
    assert_eq!(scenario.steps[5].captures[0].kind, CaptureKind::Secret);
    let Action::Http(me) = &scenario.steps[6].action else {
        panic!("no request")
    };
    assert!(matches!(&me.auth, Auth::Header { token: TokenKind::Captured(name), .. } if name == "fresh"));
}

#[test]
fn costs_count_repetitions_and_only_tokens_that_should_be_let_in() {
    let catalog = accepted(MAIN, MODULE);
    let handshake = &scenario(&catalog, "websocket_events/handshake").cost;
    assert_eq!(handshake.messages, 3);
    assert_eq!(handshake.handshakes["credential"], 1);
    let upgrades = handshake.requests.iter().filter(|request| request.kind == "upgrade");
    assert_eq!(upgrades.map(|request| request.times).sum::<u32>(), 2);
    assert_eq!(handshake.requests[1].path, "/ws");
    let borrower = &scenario(&catalog, "websocket_events/borrower").cost;
    assert_eq!(borrower.handshakes["many"], 5);
}

#[test]
fn checks_know_whether_they_need_a_socket() {
    let catalog = accepted(MAIN, MODULE);
    let needs: Vec<bool> = catalog.checks().map(|(_, check)| check.needs_socket).collect();
    assert_eq!(needs, [true, true, false]);
    let (_, rolled) = catalog.checks().last().unwrap();
    assert_eq!(
        rolled.parts[0].rolls_up,
        ["websocket_events/websocket_connection", "websocket_events/other_check"]
    );
}

#[test]
fn the_time_scale_moves_schedules_and_windows_but_no_deadlines() {
    let scaled = Overrides {
        time_scale: Some(0.1),
        ..Overrides::default()
    };
    let catalog = load_with(&main_path(), &world(MAIN, MODULE), &scaled).unwrap();
    let handshake = scenario(&catalog, "websocket_events/handshake");
    assert_eq!(handshake.schedule, Schedule::Every(seconds(30)));
    assert_eq!(handshake.deadline, seconds(30));
    assert!(
        handshake
            .steps
            .iter()
            .any(|step| matches!(step.action, Action::Wait(pause) if pause == seconds(1)))
    );
    let resident = scenario(&catalog, "websocket_events/resident");
    assert!(matches!(resident.steps[1].action, Action::Offer { hold, .. } if hold == seconds(180)));
    assert_eq!(
        resident.deadline,
        seconds(240),
        "a resident's deadline leaves room for what it holds"
    );
    assert_eq!(catalog.target.limits[0].per, seconds(6));
    assert_eq!(catalog.latency_targets["api_response"].window, seconds(90));
    let pool = pool(&catalog, "handshake");
    assert_eq!(
        (pool.handshakes.as_ref().unwrap().per, pool.rest),
        (seconds(180), seconds(210))
    );
    let tiny = Overrides {
        time_scale: Some(0.001),
        ..Overrides::default()
    };
    let main = MAIN.replace("max: 4, per: 30m", "max: 400, per: 30m");
    let catalog = load_with(&main_path(), &world(&main, MODULE), &tiny).unwrap();
    let handshake = scenario(&catalog, "websocket_events/handshake");
    assert_eq!(handshake.schedule, Schedule::Every(seconds(1)), "never below a second");
}

#[test]
fn the_command_line_overrides_the_service() {
    let overrides = Overrides {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        data_dir: Some(PathBuf::from("/elsewhere")),
        api_token: Some(Secret::new("a-token-of-ours")),
        ..Overrides::default()
    };
    // What is overridden need not be there.
    let main = format!("{MAIN}service: {{ api_token: {{ env: STAGEWATCH_NOT_SET }} }}\n");
    let catalog = load_with(&main_path(), &world(&main, MODULE), &overrides).unwrap();
    assert_eq!(catalog.service.listen.port(), 0);
    assert_eq!(catalog.service.data_dir, PathBuf::from("/elsewhere"));
    assert_eq!(catalog.service.api_token.unwrap().expose(), "a-token-of-ours");
    let plain = accepted(MAIN, MODULE);
    assert_eq!(plain.service.listen.to_string(), "127.0.0.1:9464");
    assert_eq!(
        plain.service.data_dir,
        PathBuf::from("etc/data"),
        "relative to the main file"
    );
}

#[test]
fn secrets_come_from_variables_files_and_credentials() {
    let with = |source: &str| {
        let main = format!("{MAIN}service: {{ api_token: {source} }}\n");
        let world = world(&main, MODULE)
            .with_variable("CREDENTIALS_DIRECTORY", "run/credentials")
            .with_file("run/credentials/token", "from-systemd");
        load(&main_path(), &world).map(|catalog| catalog.service.api_token.unwrap().expose().to_owned())
    };
    assert_eq!(with("{ env: STAGEWATCH_USER_1 }").unwrap(), "one@staging.example");
    assert_eq!(with("{ file: secrets/good }").unwrap(), "correct-horse");
    assert_eq!(
        with("{ file: secrets/group }").unwrap(),
        "correct-horse",
        "0640 is not too open"
    );
    assert_eq!(with("{ credential: token }").unwrap(), "from-systemd");
    assert_eq!(with("{ value: on-loopback }").unwrap(), "on-loopback");
    assert!(
        with("{ credential: ../token }")
            .unwrap_err()
            .to_string()
            .contains("no name of a credential")
    );
}

#[test]
fn numbered_users_share_secrets_and_an_optional_pool_may_be_empty() {
    let secrets = "users_from: { count: 2, fields: { email: \"watch-${index}@staging.example\" }, secrets: { password: { env: NAME } } }";
    let main = MAIN.replace(
        "users_from: { count: 7, fields: { email: \"crowd-${index}@rehearsal.invalid\", password: rehearsal-only } }",
        &format!("{secrets}\n      optional: true"),
    );
    let module = MODULE.replace("count: 5", "count: 1").replace("times: 5", "times: 1");
    let missing = accepted(&main, &module);
    assert!(pool(&missing, "crowd").users.is_empty());
    let there = accepted(&main.replace("env: NAME", "env: STAGEWATCH_USER_1"), &module);
    let users = &pool(&there, "crowd").users;
    assert_eq!(users[1].fields["email"].expose(), "watch-2@staging.example");
    assert_eq!(users[1].fields["password"].expose(), "one@staging.example");
}

#[test]
fn keys_that_can_sign_are_accepted() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mint = "  robot: { mint: { algorithm: ES256, key: { file: key.pem }, key_id: k1, claims: { sub: \"${target.host}\" }, lifetime: 5m } }\nlogins:\n";
    let main = MAIN.replace("logins:\n", mint);
    let world = world(&main, MODULE).with_file("etc/key.pem", key.serialize_pem());
    let catalog = load(&main_path(), &world).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(matches!(&catalog.credentials["robot"], CredentialSource::Mint(mint) if mint.lifetime == seconds(300)));
}

#[test]
fn a_vocabulary_is_shared_and_keeps_its_own_places() {
    let start = MAIN.find("  functions:").unwrap();
    let end = MAIN.find("credentials:").unwrap();
    let (functions, rest) = (&MAIN[start..end], format!("{}{}", &MAIN[..start], &MAIN[end..]));
    let main = format!("{rest}include: [words.yaml]\n");
    let with = |words: &str| load(&main_path(), &world(&main, MODULE).with_file("etc/words.yaml", words));
    let catalog = with(&format!("target:\n{functions}")).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(catalog.target.functions.contains_key("refused"));
    let wrong = with(&format!(
        "target:\n{}",
        functions.replace("open.status in", "opne.status in")
    ))
    .unwrap_err();
    assert_eq!(wrong.mistakes().len(), 1, "{wrong}");
    assert_eq!(
        (wrong.mistakes()[0].file.as_str(), wrong.mistakes()[0].line),
        ("words.yaml", 3)
    );
    let shape = with("target: { functoins: {} }").unwrap_err();
    assert_eq!(
        shape.mistakes().len(),
        1,
        "a vocabulary of the wrong shape is all that is said: {shape}"
    );
}

#[test]
fn anchors_and_merges_are_allowed() {
    let module = MODULE.replace(
        "    parts: [ { needs: [websocket_events/handshake], expect: [ { that: \"health.status == 200\" } ] } ]",
        "    parts:\n      - &part { needs: [handshake], expect: &fine [ { that: \"health.status == 200\" } ] }\n      - { <<: *part, title: again, expect: *fine }",
    );
    let catalog = accepted(MAIN, &module);
    let (_, check) = catalog.checks().nth(1).unwrap();
    assert_eq!(check.parts[1].title, "again");
    assert_eq!(check.parts[1].needs, ["websocket_events/handshake"]);
    let wrong = refused(MAIN, &module.replace("health.status == 200", "healht.status == 200"));
    assert_eq!(wrong.mistakes().len(), 1, "both uses stand at one place: {wrong}");
}

#[test]
fn the_digest_is_that_of_everything_read() {
    let digest = |main: &str, module: &str| accepted(main, module).digest;
    let first = digest(MAIN, MODULE);
    assert_eq!(first.len(), 64);
    assert_eq!(first, digest(MAIN, MODULE));
    assert_ne!(first, digest(MAIN, &format!("{MODULE}# a comment\n")));
    assert_ne!(first, digest(&format!("{MAIN}# a comment\n"), MODULE));
}

#[test]
fn modules_may_be_all_files_of_a_directory() {
    let main = MAIN.replace("modules: [module.yaml]", "modules: parts");
    let world = world(&main, "")
        .with_file("etc/parts/01.yaml", MODULE)
        .with_file("etc/parts/02.yaml", include_str!("small.yaml"))
        .with_file("etc/parts/notes.txt", "not a module");
    let catalog = load(&main_path(), &world).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(catalog.modules.len(), 2);
}
