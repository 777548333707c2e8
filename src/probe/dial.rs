//! Connections that we make ourselves, where reqwest does not reach: paths that must not be normalised, half frames, RST.
//! Owns: resolve, TCP, the CONNECT request of a proxy, TLS. Must not: speak HTTP beyond that CONNECT.

use super::prepare::{invalid, literal_address};
use super::timing::mark;
use super::wire::{ProxyRoute, Wire};
use crate::failure::Failure;
use crate::limits::{CONNECT_WITHIN, PROXY_ANSWER_BYTES_MAX};
use rustls::pki_types::ServerName;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

/// Whatever went wrong; [`classify`](super::classify::classify) names it.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// A connection of our own.
pub(super) enum Dialled {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Dialled {
    /// Closes with RST: nothing that is still in flight arrives.
    pub(super) fn reset(self) {
        let tcp = match &self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        };
        // If the option cannot be set the socket is closed all the same, with FIN.
        let _ = tcp.set_zero_linger();
    }
}

impl Wire {
    /// Connects to the origin of `url`, speaking HTTP/1.1 over TLS if it is https. Sets the marks of the current exchange.
    pub(super) async fn dial(&self, url: &Url) -> Result<(Dialled, SocketAddr), BoxError> {
        mark(|moments| moments.connect_start = Some(Instant::now()));
        let dialled = match timeout(CONNECT_WITHIN, self.dial_untimed(url)).await {
            Ok(done) => done,
            Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed).into()),
        };
        mark(|moments| {
            let now = Instant::now();
            moments.connect_end = Some(now);
            moments.connected = dialled.is_ok();
            moments.tls_end = moments.tls_start.map(|_| now);
        });
        dialled
    }

    async fn dial_untimed(&self, url: &Url) -> Result<(Dialled, SocketAddr), BoxError> {
        let next = self.proxy.as_ref().map_or(url, |proxy| &proxy.url);
        let (mut tcp, peer) = self.connect(next).await?;
        tcp.set_nodelay(true)?;
        if let Some(proxy) = &self.proxy {
            open_tunnel(&mut tcp, proxy, url).await?;
        }
        Ok((self.secure(url, tcp).await?, peer))
    }

    /// TLS over `tcp` if `url` is https, speaking HTTP/1.1.
    pub(super) async fn secure(&self, url: &Url, tcp: TcpStream) -> Result<Dialled, BoxError> {
        if url.scheme() != "https" {
            return Ok(Dialled::Plain(tcp));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name =
            ServerName::try_from(host).map_err(|_| invalid("the host is no name that tls can check".to_owned()))?;
        let connector = TlsConnector::from(Arc::new(self.tls.http1.clone()));
        Ok(Dialled::Tls(Box::new(connector.connect(name, tcp).await?)))
    }

    /// The addresses of the host of `url`, with its port. Fails if one of them may not be dialled.
    pub(super) async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Failure> {
        let port = url.port_or_known_default().unwrap_or(80);
        let host = url.host_str().unwrap_or_default();
        let mut addresses = match literal_address(url) {
            Some((_, address)) => {
                self.names.allowed(host, address)?;
                vec![SocketAddr::new(address, port)]
            }
            None => self.names.addresses(host).await?,
        };
        addresses.iter_mut().for_each(|address| address.set_port(port));
        Ok(addresses)
    }

    /// Tries the addresses in order; each gets its share of the time that is left.
    async fn connect(&self, url: &Url) -> Result<(TcpStream, SocketAddr), BoxError> {
        let deadline = Instant::now() + CONNECT_WITHIN;
        let addresses = self.addresses(url).await?;
        let mut last: BoxError = io::Error::from(io::ErrorKind::NotConnected).into();
        for (tried, address) in addresses.iter().copied().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok((tcp, address)),
                Ok(Err(error)) => last = error.into(),
                Err(elapsed) => last = io::Error::new(io::ErrorKind::TimedOut, elapsed).into(),
            }
        }
        Err(last)
    }
}

/// Asks the proxy for a tunnel (RFC 9110 section 9.3.6). The peer speaks only after us in TLS and in HTTP, so nothing of the
/// tunnel can be in the bytes read here.
async fn open_tunnel(tcp: &mut TcpStream, proxy: &ProxyRoute, url: &Url) -> Result<(), BoxError> {
    if proxy.url.scheme() != "http" {
        return Err(invalid("a connection of its own needs an http:// proxy".to_owned()).into());
    }
    let host = url.host_str().unwrap_or_default();
    let authority = format!("{host}:{}", url.port_or_known_default().unwrap_or(443));
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    tcp.write_all(&request).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER_BYTES_MAX || tcp.read_buf(&mut answer).await? == 0 {
            return Err(tunnel_failure("the proxy gave no answer to CONNECT").into());
        }
    }
    let status = answer.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    if status.first() != Some(&b'2') {
        let status = String::from_utf8_lossy(status.get(..3).unwrap_or_default()).into_owned();
        return Err(tunnel_failure(&format!("the proxy refused CONNECT with status {status}")).into());
    }
    Ok(())
}

/// The proxy is part of the path, not of the target.
fn tunnel_failure(detail: &str) -> Failure {
    use crate::failure::{Blame, Kind, Phase};
    Failure::new(Kind::TcpUnreachable, detail)
        .in_phase(Phase::Connect)
        .blamed_on(Blame::Path)
}

impl AsyncRead for Dialled {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
