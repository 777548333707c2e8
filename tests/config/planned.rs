//! The plan: what will run, and what it uses of the limits.

use crate::support::{MAIN, MODULE, accepted, refused};
use stagewatch::config::{Plan, plan};

#[test]
fn the_plan_is_a_table() {
    let shown = plan(&accepted(MAIN, MODULE)).to_string();
    let expected = "\
target      Rehearsal
time scale  1
scenarios   3 (0 off)
checks      3

scenario                    schedule                    deadline  requests  handshakes  messages  req/min  hs/min
websocket_events/handshake  every 5m                    30s       6         1           3         1.2      0.2
websocket_events/resident   resident                    31m       1         1           0         0.0      0.0
websocket_events/borrower   0 */5 * * * * Europe/Paris  1m        6         5           0         1.2      1.0

limit   edge_other  8.2 / 40 per 1m             ok, with a confirm burst 29.2 / 40
pool    handshake   10 / 32 handshakes per 30m  ok
series  metrics     940 / 4500                  ok
";
    assert_eq!(shown, expected);
}

fn planned(main: &str, module: &str) -> Plan {
    plan(&accepted(main, module))
}

/// The main file with room for more than the plan of the fixtures and a confirm burst.
fn roomy() -> String {
    MAIN.replace("max: 40, per: 60s", "max: 80, per: 60s")
}

#[test]
fn a_scenario_that_is_off_uses_nothing() {
    let off = planned(&MAIN.replace("enable: [llm]", "enable: []"), MODULE);
    let borrower = &off.scenarios[2];
    assert!(!borrower.enabled && borrower.requests == 6);
    assert!(borrower.requests_per_minute.abs() < f64::EPSILON);
    assert!(off.to_string().contains("off (0 */5"));
    assert!(off.limits[0].worst < planned(MAIN, MODULE).limits[0].worst);
}

#[test]
fn frequent_scenarios_count_whole_and_rare_ones_on_average_beside_the_largest() {
    // Every five minutes, the two with six requests count with a fifth each and one of them with the rest; every twenty
    // seconds, three runs of one fit into the minute.
    let often = MODULE.replace("schedule: { every: 5m }", "schedule: { every: 20s }");
    let often = planned(&roomy().replace("max: 4, per: 30m", "max: 40, per: 30m"), &often);
    let seldom = planned(MAIN, MODULE);
    let without_logins = |plan: &Plan| {
        let limit = &plan.limits[0];
        let logins = limit.shares.iter().find(|(who, _)| who == "logins and renewals");
        limit.worst - logins.map_or(0.0, |(_, share)| *share)
    };
    let more = without_logins(&often) - without_logins(&seldom);
    assert!((more - (3.0 * 6.0 - 6.0 / 5.0)).abs() < 1e-9, "{more}");
}

#[test]
fn logins_count_as_well() {
    let shares = &planned(MAIN, MODULE).limits[0].shares;
    let (_, share) = shares.iter().find(|(who, _)| who == "logins and renewals").unwrap();
    // The pool of the handshakes is asked by two scenarios, 1 in 5 and 1 in 30 minutes; of the crowd each of the seven users
    // renews every nine minutes, which is less than the six that each run asks for.
    assert!((share - (1.0 / 5.0 + 1.0 / 30.0 + 7.0 / 9.0)).abs() < 1e-9, "{share}");
}

#[test]
fn a_confirm_burst_comes_on_top_and_has_its_reserve() {
    // Three more attempts of the only watch, each with its six requests and a renewal; beside them the siblings' three.
    let siblings = "scenarios:\n  siblings:\n    schedule: { on_confirm: main }\n    steps:\n      - repeat: 3\n        steps: [ { http: { id: health_then, base: api, path: /health } } ]\n";
    let module = MODULE.replace("scenarios:\n", siblings);
    let reserved = MAIN.replace("max: 40, per: 60s", "max: 40, per: 60s, reserve: 30");
    let plan = planned(&reserved, &module);
    let (limit, sibling) = (&plan.limits[0], &plan.scenarios[0]);
    assert!((limit.burst - (3.0 * 7.0 + 3.0)).abs() < 1e-9, "{}", limit.burst);
    assert_eq!((limit.regular_max(), limit.fits()), (10, true));
    assert_eq!(sibling.schedule, "on confirm of main");
    assert!(sibling.requests_per_minute.abs() < f64::EPSILON, "not at regular times");
    let said = refused(&reserved.replace("reserve: 30", "reserve: 32"), &module).to_string();
    assert!(
        said.contains("the plan makes 8.2 requests in 1m, the limit `edge_other` is 8"),
        "{said}"
    );
}

#[test]
fn shared_users_share_their_handshakes() {
    let module = |times: u32| {
        format!(
            "module: m\nnumber: 2\ntitle: M\nowner: me\nscenarios:\n  s:\n    schedule: {{ every: 30m }}\n    credentials: {{ a: {{ pool: handshake }}, b: {{ same_as: a }} }}\n    steps:\n      - ws.open: {{ socket: main, auth: {{ header: {{ credential: a }} }} }}\n      - repeat: {times}\n        steps: [ {{ ws.open: {{ socket: main, on: n, auth: {{ header: {{ credential: b }} }} }} }} ]\n"
        )
    };
    assert_eq!(planned(MAIN, &module(3)).pools[0].one_user, 4);
    let said = refused(MAIN, &module(4)).to_string();
    assert!(
        said.contains("one run needs 5 handshakes of one user, who has 4 in 30m"),
        "{said}"
    );
}

#[test]
fn cron_runs_are_counted_where_they_come_together() {
    // Three in one minute, and then nothing for the rest of the hour.
    let module = MODULE.replace("cron: \"0 */5 * * * *\"", "cron: \"0,20,40 0 * * * *\"");
    let gathered = planned(&roomy(), &module);
    let share = gathered.limits[0]
        .shares
        .iter()
        .find(|(who, _)| who.ends_with("borrower"))
        .unwrap()
        .1;
    assert!((share - 18.0).abs() < f64::EPSILON, "{share}");
}
