//! Every route, in one table: method, path, who may use it, and what answers. The router is built from it and from nothing
//! else, so that no route can exist without saying whom it is for.

use super::problem::Problem;
use super::readers::reader;
use super::reload::reload;
use super::{App, api, events, healthy, metrics, notices, page, ready};
use crate::record::metrics::Refused;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use std::sync::Arc;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever asks: health, which says nothing about the target.
    Open,
    /// Whoever may read.
    Read,
    /// Whoever shows the API token: everything that changes something, and whole evidence with what is sensitive in it.
    Operator,
}

/// Method of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, and with it HEAD.
    Get,
    /// POST.
    Post,
    /// DELETE.
    Delete,
}

impl Method {
    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// One route.
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path, as axum writes it: `{name}` is one segment.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Whether connections of the reserve may use it too.
    reserved: bool,
    answer: fn(MethodFilter) -> MethodRouter<Arc<App>>,
}

/// A route of its own; the reserve is for whoever watches us.
const fn route(
    (method, path): (Method, &'static str),
    access: Access,
    answer: fn(MethodFilter) -> MethodRouter<Arc<App>>,
) -> Route {
    Route {
        method,
        path,
        access,
        reserved: false,
        answer,
    }
}

/// The same, for the reserve as well.
const fn reserved(route: Route) -> Route {
    Route {
        reserved: true,
        ..route
    }
}

/// Every route.
pub const ROUTES: &[Route] = &[
    reserved(route((Method::Get, "/-/healthy"), Access::Open, |get| on(get, healthy))),
    reserved(route((Method::Get, "/-/ready"), Access::Open, |get| on(get, ready))),
    reserved(route((Method::Get, "/metrics"), Access::Read, |get| on(get, metrics))),
    route((Method::Get, "/"), Access::Read, |get| on(get, page::overview)),
    route((Method::Get, "/checks/{module}/{check}"), Access::Read, |get| {
        on(get, page::check)
    }),
    route((Method::Get, "/runs/{run}"), Access::Read, |get| on(get, page::run)),
    route((Method::Get, "/incidents"), Access::Read, |get| {
        on(get, page::incidents)
    }),
    route((Method::Get, "/incidents/{incident}"), Access::Read, |get| {
        on(get, page::incident)
    }),
    route((Method::Get, "/page.css"), Access::Read, |get| on(get, page::style)),
    route((Method::Get, "/live.js"), Access::Read, |get| on(get, page::script)),
    route((Method::Get, "/icon.svg"), Access::Read, |get| on(get, page::icon)),
    route((Method::Get, "/events"), Access::Read, |get| on(get, events::events)),
    route((Method::Get, "/api/v1/openapi.json"), Access::Read, |get| {
        on(get, api::openapi)
    }),
    route((Method::Get, "/api/v1/status"), Access::Read, |get| {
        on(get, api::now::status)
    }),
    route((Method::Get, "/api/v1/modules"), Access::Read, |get| {
        on(get, api::now::modules)
    }),
    route((Method::Get, "/api/v1/modules/{module}"), Access::Read, |get| {
        on(get, api::now::module)
    }),
    route((Method::Get, "/api/v1/checks"), Access::Read, |get| {
        on(get, api::now::checks)
    }),
    route((Method::Get, "/api/v1/checks/{module}/{check}"), Access::Read, |get| {
        on(get, api::now::check)
    }),
    route(
        (Method::Get, "/api/v1/checks/{module}/{check}/judgements"),
        Access::Read,
        |get| on(get, api::stored::judgements),
    ),
    route(
        (Method::Get, "/api/v1/checks/{module}/{check}/judgements/{judgement}"),
        Access::Read,
        |get| on(get, api::stored::judgement),
    ),
    route((Method::Get, "/api/v1/runs"), Access::Read, |get| {
        on(get, api::stored::runs)
    }),
    route((Method::Get, "/api/v1/runs/{run}"), Access::Read, |get| {
        on(get, api::stored::run)
    }),
    route((Method::Get, "/api/v1/incidents"), Access::Read, |get| {
        on(get, api::incidents::incidents)
    }),
    route((Method::Get, "/api/v1/incidents/{incident}"), Access::Read, |get| {
        on(get, api::incidents::incident)
    }),
    route(
        (Method::Get, "/api/v1/incidents/{incident}/evidence"),
        Access::Operator,
        |get| on(get, api::incidents::evidence),
    ),
    route((Method::Get, "/api/v1/reports"), Access::Read, |get| {
        on(get, api::reports::reports)
    }),
    route((Method::Get, "/api/v1/reports/{report}"), Access::Read, |get| {
        on(get, api::reports::report)
    }),
    route((Method::Post, "/api/v1/run"), Access::Operator, |post| {
        on(post, api::run)
    }),
    route((Method::Get, "/api/v1/alerts"), Access::Read, |get| {
        on(get, api::alerts::now)
    }),
    route((Method::Get, "/api/v1/maintenance"), Access::Read, |get| {
        on(get, notices::list)
    }),
    route((Method::Post, "/api/v1/maintenance"), Access::Operator, |post| {
        on(post, notices::maintain)
    }),
    route((Method::Delete, "/api/v1/maintenance"), Access::Operator, |delete| {
        on(delete, notices::end)
    }),
    route((Method::Post, "/api/v1/annotations"), Access::Operator, |post| {
        on(post, notices::annotate)
    }),
    route((Method::Post, "/-/reload"), Access::Operator, |post| on(post, reload)),
];

impl Route {
    fn answering(&self, app: &Arc<App>) -> MethodRouter<Arc<App>> {
        let answer = (self.answer)(self.method.filter());
        match self.access {
            Access::Open => answer,
            Access::Read => answer.route_layer(middleware::from_fn_with_state(Arc::clone(app), reader)),
            Access::Operator => answer.route_layer(middleware::from_fn_with_state(Arc::clone(app), operator)),
        }
    }
}

/// The whole table.
pub(super) fn all(app: &Arc<App>) -> Router<Arc<App>> {
    table(app, ROUTES.iter())
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is no such page here") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this page does not answer to that method",
            )
        })
}

/// What connections of the reserve may use: whoever watches us must not be locked out by anybody else.
pub(super) fn of_the_reserve(app: &Arc<App>) -> Router<Arc<App>> {
    table(app, ROUTES.iter().filter(|route| route.reserved)).fallback(|| async {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many connections; only /metrics and /-/ answer",
        )
        .refusing(Refused::Reserve)
    })
}

fn table(app: &Arc<App>, routes: impl Iterator<Item = &'static Route>) -> Router<Arc<App>> {
    routes.fold(Router::new(), |router, route| {
        router.route(route.path, route.answering(app))
    })
}

/// Lets nobody through without the token, and leaves a trace of whoever came through.
async fn operator(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Err(problem) = app.token.check(request.headers()) {
        return problem.into_response();
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    tracing::info!(%method, path, status = response.status().as_u16(), "serve.operator");
    response
}
