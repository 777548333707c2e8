//! What every request meets before and after its endpoint: the edge, the instance it gets, the outermost layer.
//! It owns the order of these steps; each step's behaviour belongs to `edge`, `outermost`, `socket` or a router.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Extensions, Request, StatusCode, Version};
use axum::response::Response;
use hyper::body::Incoming;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::edge::{self, Armor, Delivery};
use super::faults::Fault;
use super::gate::Gate;
use super::instance::Instance;
use super::outermost;
use super::socket;
use super::world::World;

/// Backend timeout of the load balancer (contract §1).
const BACKEND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the front end waits for an instance that does not start (contract §9, incident 20).
const LATE_503: Duration = Duration::from_secs(12);

/// Which of the three listeners a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Backend: HTTP, WebSocket, SSE, behind the load balancer.
    Backend,
    /// Auth service.
    Auth,
    /// Control, which no fault touches.
    Control,
}

/// Says that the connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
pub struct Gone;

/// Where a request sits: its instance, its connection, its trace.
#[derive(Clone)]
pub struct Seat {
    /// The process that serves it.
    pub instance: Arc<Instance>,
    /// Number of the connection, counted from zero over the rehearsal's life.
    pub connection: u64,
    /// Fresh for every request.
    pub trace_id: String,
    /// Ends when the listener closes.
    pub cut: CancellationToken,
}

impl Seat {
    /// The seat of a request on the backend; every request there has one.
    pub fn of(extensions: &Extensions) -> Self {
        let seat = extensions.get::<Self>();
        seat.cloned()
            .expect("front::backend seats every request before it reaches a router")
    }
}

/// One connection, as its requests share it.
pub struct Link {
    number: u64,
    requests: AtomicU64,
    instance: Arc<Instance>,
    cut: CancellationToken,
}

struct Shared {
    world: Arc<World>,
    place: Place,
    router: Router,
    armor: Armor,
    connections: AtomicU64,
}

/// One listener's service. Cloning shares it.
#[derive(Clone)]
pub struct Front {
    shared: Arc<Shared>,
}

impl Front {
    /// The service of `place`, which hands requests to `router`.
    pub fn new(world: Arc<World>, place: Place, router: Router) -> Self {
        let shared = Shared {
            world,
            place,
            router,
            armor: Armor::default(),
            connections: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The staging it belongs to.
    pub fn world(&self) -> &Arc<World> {
        &self.shared.world
    }

    /// The gate of its listener; the control listener has none and borrows one that never closes.
    pub fn gate(&self) -> &Gate {
        match self.shared.place {
            Place::Backend => &self.shared.world.backend_gate,
            Place::Auth => &self.shared.world.auth_gate,
            Place::Control => &self.shared.world.control_gate,
        }
    }

    /// Seats a new connection: the load balancer picks its instance now.
    pub fn link(&self, cut: CancellationToken) -> Arc<Link> {
        let number = self.shared.connections.fetch_add(1, Ordering::Relaxed);
        let instance = self.shared.world.fleet.next();
        Arc::new(Link {
            number,
            requests: AtomicU64::new(0),
            instance,
            cut,
        })
    }

    /// Answers one request of a connection, or ends the connection.
    pub async fn answer(self, link: Arc<Link>, request: Request<Incoming>) -> Result<Response, Gone> {
        let world = Arc::clone(&self.shared.world);
        let path = request.uri().path().to_owned();
        match self.shared.place {
            Place::Control => Ok(self.route(request.map(Body::new)).await),
            Place::Auth => {
                world.stats.request("auth", &path);
                if world.faults.on(Fault::Auth503) {
                    return Ok(edge::page(StatusCode::SERVICE_UNAVAILABLE));
                }
                let mut response = self.route(request.map(Body::new)).await;
                super::auth::http::stamp(&mut response);
                Ok(response)
            }
            Place::Backend => {
                world.stats.request("backend", &path);
                self.backend(&link, request).await
            }
        }
    }

    async fn backend(&self, link: &Link, request: Request<Incoming>) -> Result<Response, Gone> {
        let world = self.world();
        let path = request.uri().path().to_owned();
        if let Some(answer) = self.at_the_edge(&request, &path).await {
            return answer;
        }
        let named = edge::affinity(request.headers()).and_then(|id| world.fleet.named(id));
        let bound = named.is_some();
        let seat = self.seat(link, named);
        let sticky = !bound && !world.faults.on(Fault::AffinityNoCookie);
        let instance = seat.instance.id.clone();
        let mut response = if socket::is_upgrade(&request) {
            socket::upgrade(world, seat, request).await?
        } else {
            self.http(seat, request.map(Body::new)).await?
        };
        if sticky {
            edge::set_affinity(&mut response, &instance);
        }
        Ok(self.delivered(&path, response).await)
    }

    async fn at_the_edge(&self, request: &Request<Incoming>, path: &str) -> Option<Result<Response, Gone>> {
        let world = self.world();
        let faults = &world.faults;
        if faults.on(Fault::Backend503) {
            return Some(Ok(edge::page(StatusCode::SERVICE_UNAVAILABLE)));
        }
        if faults.on(Fault::Backend503Late) {
            tokio::time::sleep(LATE_503).await;
            return Some(Ok(edge::page(StatusCode::SERVICE_UNAVAILABLE)));
        }
        if faults.on(Fault::Edge429) && !path.starts_with("/api") {
            return Some(Ok(edge::page(StatusCode::TOO_MANY_REQUESTS)));
        }
        let limited = faults.on(Fault::EdgeRateLimit);
        if limited && !self.shared.armor.passes(path, world.timing) {
            return Some(Ok(edge::page(StatusCode::TOO_MANY_REQUESTS)));
        }
        let second = request.version() == Version::HTTP_2;
        (second && faults.on(Fault::Http2Broken)).then_some(Err(Gone))
    }

    fn seat(&self, link: &Link, named: Option<Arc<Instance>>) -> Seat {
        let world = self.world();
        let mut instance = named.unwrap_or_else(|| Arc::clone(&link.instance));
        if world.faults.on(Fault::AffinityIgnored) {
            let turn = link.number + link.requests.fetch_add(1, Ordering::Relaxed);
            instance = world.fleet.at(turn);
        }
        let trace_id = match world.faults.on(Fault::TraceConstant) {
            true => "00000000-0000-4000-8000-000000000000".to_owned(),
            false => super::new_uuid(),
        };
        Seat {
            instance,
            connection: link.number,
            trace_id,
            cut: link.cut.clone(),
        }
    }

    async fn http(&self, seat: Seat, mut request: Request<Body>) -> Result<Response, Gone> {
        let faults = &self.world().faults;
        let path = request.uri().path().to_owned();
        let asked = outermost::Asked::of(&request);
        let early = outermost::early(&asked, request.uri(), faults);
        request.extensions_mut().insert(seat.clone());
        let slowed = path.starts_with("/api") || path.starts_with("/health");
        if let Some(ms) = faults.api_slow_ms().filter(|_| slowed) {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let response = match early {
            Some(response) => response,
            None => self.route(request).await,
        };
        Ok(outermost::finish(response, &asked, (&seat, faults)))
    }

    async fn route(&self, request: Request<Body>) -> Response {
        let answer = self.shared.router.clone().oneshot(request);
        match timeout(BACKEND_TIMEOUT, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => edge::page(StatusCode::GATEWAY_TIMEOUT),
        }
    }

    async fn delivered(&self, path: &str, response: Response) -> Response {
        let faults = &self.world().faults;
        let bad = path.starts_with("/api") || path.starts_with("/health");
        let streams = path == "/api/agent/stream" || path.starts_with("/api/events");
        if !bad || streams {
            return response;
        }
        if faults.on(Fault::BodyCut) {
            return edge::deliver(response, Delivery::CutInTheMiddle).await;
        }
        if faults.on(Fault::BodySlow) {
            return edge::deliver(response, Delivery::TwoHalves).await;
        }
        response
    }
}

/// Never ends by itself; whoever waits for it is ended by its connection.
pub async fn hang() -> Gone {
    pending().await
}
