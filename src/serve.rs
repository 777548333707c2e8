//! The daemon's own listener: `/metrics`, health, the status API, run-now and a plain page. It reads snapshots and sends
//! commands; it computes no verdict and touches no target. Reading is open to whoever reaches the listener (loopback by
//! default), or to the users of the web configuration; changing anything needs the API token.

mod accept;
mod api;
mod brake;
mod events;
mod notices;
mod page;
mod peer;
mod problem;
mod readers;
mod reload;
mod routes;
mod seats;
mod token;
mod web;

pub use notices::Notices;
pub use reload::ReloadAsked;
pub use routes::{Access, Method, ROUTES, Route};
pub use web::WebError;

use crate::alert::board::Board;
use crate::catalog::{Catalog, Service};
use crate::history::{HistoryError, Reader};
use crate::limits::{
    API_READERS_MAX, METRICS_RENDERED_FOR, SERVE_BODY_BYTES_MAX, SERVE_REQUEST_WITHIN, SERVE_URI_BYTES_MAX,
};
use crate::record::encode::Format;
use crate::record::live::Live;
use crate::record::metrics::{Metrics, Refused};
use crate::record::trend::Trend;
use crate::report::Iteration;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use problem::Problem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use web::Web;

/// Which checks somebody wants judged anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Every check.
    All,
    /// Those of one module.
    Module(String),
    /// One, as `module/check`.
    Check(String),
}

/// Carries out what callers ask for.
pub trait Commands: Send + Sync {
    /// Asks for a run of every scenario that `wanted` reads; gives those that will run.
    ///
    /// # Errors
    /// When there is no such module or check, with a sentence fragment that says so.
    fn run_now(&self, wanted: &Wanted) -> Result<Vec<String>, String>;
}

/// How well the daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Everything works.
    Well,
    /// It works, but not everything does.
    Degraded(String),
}

/// What the listener serves.
pub struct Served {
    /// Latest verdicts.
    pub live: Arc<Live>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The last day in cells.
    pub trend: Arc<Trend>,
    /// What fires, what is muted, and how pushes went.
    pub alerts: Arc<Board>,
    /// What is watched.
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// What was: a reader of its own.
    pub history: Reader,
    /// Run-now.
    pub commands: Arc<dyn Commands>,
    /// Maintenance and annotations.
    pub notices: Arc<dyn Notices>,
    /// How well the daemon is.
    pub health: Box<dyn Fn() -> Health + Send + Sync>,
    /// Reads a stored iteration by its number, or the newest, compared with those before it.
    pub iteration: fn(&Reader, Option<i64>) -> Result<Option<Iteration>, HistoryError>,
    /// Where reloads are asked for; none when there is no file to load again.
    pub reloads: Option<mpsc::Sender<ReloadAsked>>,
}

/// Why the listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or may not be used.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Address {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The web configuration cannot be used.
    #[error(transparent)]
    Web(#[from] WebError),
}

/// The open listener.
pub struct Server {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    accepting: tokio::task::JoinHandle<()>,
    app: Arc<App>,
}

/// What the routes share.
struct App {
    served: Served,
    token: token::Token,
    web: Option<Arc<Web>>,
    ready: Arc<AtomicBool>,
    rendered: Mutex<Vec<Rendered>>,
    /// The page of everything, as it was last drawn.
    drawn: Mutex<Option<(Instant, String)>>,
    listeners: events::Listeners,
    /// Places for questions to the history.
    readers: Arc<Semaphore>,
}

struct Rendered {
    format: Format,
    at: Instant,
    text: Bytes,
}

/// Opens the listener of `service`.
///
/// # Errors
/// When the address is taken or may not be used.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError::Address { address, source })
}

impl Server {
    /// Serves on `listener` until [`Server::stop`].
    ///
    /// # Errors
    /// When the listener has no address, or the web configuration cannot be used.
    pub fn start(listener: TcpListener, service: &Service, served: Served) -> Result<Self, ListenError> {
        let address = listener.local_addr().map_err(|source| ListenError::Address {
            address: service.listen,
            source,
        })?;
        let web = service.web_config.as_deref().map(Web::load).transpose()?.map(Arc::new);
        let ready = Arc::new(AtomicBool::new(false));
        let stop = CancellationToken::new();
        let app = Arc::new(App {
            served,
            token: token::Token::new(service),
            web: web.clone(),
            ready: Arc::clone(&ready),
            rendered: Mutex::new(Vec::new()),
            drawn: Mutex::new(None),
            listeners: events::Listeners::new(stop.clone()),
            readers: Arc::new(Semaphore::new(API_READERS_MAX)),
        });
        let routers = accept::Routers {
            full: layers(&app, routes::all(&app)).with_state(Arc::clone(&app)),
            reserved: layers(&app, routes::of_the_reserve(&app)).with_state(Arc::clone(&app)),
            web,
            metrics: Arc::clone(&app.served.metrics),
        };
        let accepting = tokio::spawn(accept::accept(listener, routers, stop.clone()));
        Ok(Self {
            address,
            ready,
            stop,
            accepting,
            app,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `/-/ready` says yes.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// From now on the token and the names of `service` hold.
    pub fn reload(&self, service: &Service) {
        self.app.token.reload(service);
        self.render_anew();
    }

    /// What was rendered last is not what there is now.
    pub fn render_anew(&self) {
        let mut rendered = self.app.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        rendered.clear();
        *self.app.drawn.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Stops accepting, lets answers in progress end for a moment, closes.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic in the accept loop has been logged by its own task.
        let _ = self.accepting.await;
    }
}

fn layers(app: &Arc<App>, routes: Router<Arc<App>>) -> Router<Arc<App>> {
    routes
        .layer(RequestBodyLimitLayer::new(SERVE_BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            SERVE_REQUEST_WITHIN,
        ))
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a bug of ours").into_response()
        }))
}

/// Refuses long URIs and names that are not ours, counts who was refused, and adds the headers that every answer carries.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let too_long = request.uri().to_string().len() > SERVE_URI_BYTES_MAX;
    let mut response = if too_long {
        Problem::new(StatusCode::URI_TOO_LONG, "the address is too long")
            .refusing(Refused::Uri)
            .into_response()
    } else if !app.token.means_us(request.headers()) {
        Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "this daemon does not go by that name: ask for it by address, or write the name into `service.hosts`",
        )
        .refusing(Refused::Host)
        .into_response()
    } else {
        next.run(request).await
    };
    if let Some(cause) = response.extensions().get::<Refused>() {
        app.served.metrics.own().refused(*cause);
    }
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                  frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    // A report is a page of its own, with a stricter policy but for its style.
    let known = response.headers_mut().entry(header::CONTENT_SECURITY_POLICY);
    known.or_insert(HeaderValue::from_static(policy));
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Asks the history, off the threads that serve: a few questions at once, the others wait for their turn.
async fn stored<T: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&Reader) -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, Problem> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "serve.history_unread");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the history cannot be read now")
    };
    let place = Arc::clone(&app.readers)
        .acquire_owned()
        .await
        .map_err(|closed| failed(&closed))?;
    let reader = app.served.history.clone();
    let asked = tokio::task::spawn_blocking(move || {
        // Held until the answer is there, even if nobody waits for it any more.
        let _place = place;
        ask(&reader)
    });
    let answer = asked.await.map_err(|panicked| failed(&panicked))?;
    answer.map_err(|error| failed(&error))
}

/// The exposition, rendered once for all scrapers that come within [`METRICS_RENDERED_FOR`].
async fn metrics(State(app): State<Arc<App>>, request: Request) -> Response {
    let accept = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let format = Format::accepted(accept);
    let text = {
        let mut rendered = app.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        rendered.retain(|known| known.at.elapsed() < METRICS_RENDERED_FOR);
        match rendered.iter().find(|known| known.format == format) {
            Some(known) => known.text.clone(),
            None => {
                let text = Bytes::from(app.served.metrics.render(format));
                let at = Instant::now();
                rendered.push(Rendered {
                    format,
                    at,
                    text: text.clone(),
                });
                text
            }
        }
    };
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}

async fn healthy(State(app): State<Arc<App>>) -> Response {
    match (app.served.health)() {
        Health::Well => "ok\n".into_response(),
        // Still 200: a restart would not help, and would lose what waits to be written.
        Health::Degraded(why) => format!("degraded: {why}\n").into_response(),
    }
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.ready.load(Ordering::Relaxed) {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response()
    }
}
