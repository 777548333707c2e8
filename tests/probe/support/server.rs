//! A raw TCP server: each connection's request head is read, then the test's own code decides what to do to the client.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A listening server; dropped with the test.
pub struct Server {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    accepted: Arc<Mutex<usize>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Runs `serve` for each connection once its request head has come.
    pub async fn start<F, Fut>(serve: F) -> Self
    where
        F: Fn(Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        let serve = Arc::new(serve);
        let mut server = Self::start_raw(move |stream| {
            let (seen, serve) = (Arc::clone(&seen), Arc::clone(&serve));
            async move {
                let mut peer = Peer {
                    stream,
                    head: String::new(),
                    rest: Vec::new(),
                };
                if peer.next_head().await {
                    seen.lock().unwrap().push(peer.head.clone());
                    serve(peer).await;
                }
            }
        })
        .await;
        server.heads = heads;
        server
    }

    /// Runs `serve` for each connection at once.
    pub async fn start_raw<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::<Mutex<usize>>::default();
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream));
            }
        });
        Self {
            address,
            heads: Arc::default(),
            accepted,
            task,
        }
    }

    /// Answers every request with these bytes and closes.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |mut peer| {
            let answer = Arc::clone(&answer);
            async move { peer.send(answer.as_slice()).await }
        })
        .await
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Request heads seen so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        *self.accepted.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection of a client.
pub struct Peer {
    pub stream: TcpStream,
    /// The request's head.
    pub head: String,
    rest: Vec<u8>,
}

impl Peer {
    /// Reads the next request head; `false` if the client is gone.
    pub async fn next_head(&mut self) -> bool {
        loop {
            if let Some(end) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.rest.drain(..end + 4).collect::<Vec<_>>();
                self.head = String::from_utf8_lossy(&head).into_owned();
                return true;
            }
            match self.stream.read_buf(&mut self.rest).await {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            }
        }
    }

    /// Path and query of the request.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// Value of a request header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// Sends bytes; a client that is gone is no error of the test's.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Sends bytes one by one.
    pub async fn drip(&mut self, bytes: impl AsRef<[u8]>, every_ms: u64) {
        for byte in bytes.as_ref() {
            if self.stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            pause(every_ms).await;
        }
    }

    /// Keeps the connection open without a word until the client closes it, at most ten seconds.
    pub async fn hang(mut self) {
        let mut sink = [0; 1024];
        let read_all = async { while matches!(self.stream.read(&mut sink).await, Ok(1..)) {} };
        let _ = tokio::time::timeout(Duration::from_secs(10), read_all).await;
    }

    /// Ends the answer and waits for the client to close, so that request bytes nobody read cause no RST.
    pub async fn finish(mut self) {
        let _ = self.stream.shutdown().await;
        self.hang().await;
    }

    /// Closes with RST.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// The right value of `Sec-WebSocket-Accept`.
    pub fn accept(&self) -> String {
        derive_accept_key(self.header("sec-websocket-key").unwrap_or_default().as_bytes())
    }

    /// Sends a correct 101, with more header lines if wanted.
    pub async fn switch(&mut self, more: &str) {
        let accept = self.accept();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        );
        self.send(head).await;
    }

    /// Sends a server's frame: `first` is FIN, reserved bits and opcode.
    pub async fn frame(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        self.send(frame(first, payload.as_ref())).await;
    }

    /// The next frame of the client, unmasked: first byte and payload.
    pub async fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((frame, used)) = client_frame(&self.rest) {
                self.rest.drain(..used);
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.rest).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// What is left of the client's bytes when it closes or resets; the error if it resets.
    pub async fn end(&mut self) -> Result<Vec<u8>, std::io::ErrorKind> {
        let mut rest = std::mem::take(&mut self.rest);
        self.stream
            .read_to_end(&mut rest)
            .await
            .map(|_| rest)
            .map_err(|error| error.kind())
    }
}

/// A server's frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(u8::try_from(short).unwrap()),
        medium @ 126..65_536 => {
            bytes.push(126);
            bytes.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A Close frame.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    frame(0x88, &payload)
}

fn client_frame(bytes: &[u8]) -> Option<((u8, Vec<u8>), usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, start) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])), 4),
        127 => (
            usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).unwrap(),
            10,
        ),
        short => (usize::from(short), 2),
    };
    let mask = bytes.get(start..start + 4)?;
    let payload = bytes.get(start + 4..start + 4 + length)?;
    let plain = payload
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, key)| byte ^ key)
        .collect();
    Some(((first, plain), start + 4 + length))
}

/// Waits on the server's side.
pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
