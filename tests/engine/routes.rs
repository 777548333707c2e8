//! Every route of the table asks for what the table says, whoever comes.

use crate::support::{API_TOKEN, catalog, rehearsal};
use reqwest::StatusCode;
use stagewatch::app::daemon;
use stagewatch::serve::{Access, Method, ROUTES, Route};

/// What a caller shows.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Right,
    Nothing,
    Wrong,
}

/// Whether this answer is a refusal of the caller.
fn refused(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 429)
}

async fn ask(base: &str, route: &Route, shown: Shown) -> StatusCode {
    let path = route.path.replace(['{', '}'], "");
    let method = reqwest::Method::from_bytes(route.method.as_str().as_bytes()).unwrap();
    let request = reqwest::Client::new().request(method, format!("{base}{path}"));
    let request = match shown {
        Shown::Right => request.bearer_auth(API_TOKEN),
        Shown::Nothing => request,
        Shown::Wrong => request.bearer_auth("wrong"),
    };
    request.send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_the_table_says() {
    let (rehearsal, folder) = (rehearsal().await, tempfile::tempdir().unwrap());
    let running = daemon::start(catalog(&rehearsal, folder.path())).await.unwrap();
    let base = format!("http://{}", running.address());
    // The wrong tokens come last: too many of them brake everybody.
    for shown in [Shown::Right, Shown::Nothing, Shown::Wrong] {
        for route in ROUTES {
            let status = ask(&base, route, shown).await;
            let said = format!("{} {} with {shown:?}: {status}", route.method.as_str(), route.path);
            assert!(
                status != StatusCode::METHOD_NOT_ALLOWED,
                "{said}: the table is not what is served"
            );
            let lets_in = route.access != Access::Operator || matches!(shown, Shown::Right);
            assert_eq!(refused(status), !lets_in, "{said}");
        }
    }
    running.shutdown().await;
    rehearsal.shutdown().await;
}

#[test]
fn whatever_changes_something_needs_the_token() {
    for route in ROUTES {
        // Whole evidence holds what sensitive checks saw.
        let guarded = route.method != Method::Get || route.path.ends_with("/evidence");
        assert_eq!(route.access == Access::Operator, guarded, "{}", route.path);
    }
    let open: Vec<_> = ROUTES.iter().filter(|route| route.access == Access::Open).collect();
    assert!(open.iter().all(|route| route.path.starts_with("/-/")));
}
