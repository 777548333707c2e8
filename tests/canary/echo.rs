//! A target that answers every request with the whole request, in a header and in the body. It speaks just enough HTTP/1.1.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running target.
pub struct Echo {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    shown: Arc<Mutex<String>>,
}

impl Echo {
    /// Everything it has been shown.
    pub fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// The access token that its login gives.
    pub fn token(&self) -> String {
        token()
    }
}

/// A token with a life of a thousand years whose parts occur nowhere else.
fn token() -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part(r#"{"alg":"HS256","typ":"JWT","kid":"CANARY-kid-1"}"#);
    let claims = part(r#"{"sub":"somebody","iat":1700000000,"exp":33256915200,"jti":"CANARY-jti-2"}"#);
    format!("{header}.{claims}.{}", part("CANARY-signature-of-no-key-3"))
}

/// Starts it; it ends with the process.
pub fn start() -> Echo {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shown = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&shown);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || answer(stream, &kept));
        }
    });
    Echo { port, shown }
}

fn answer(mut stream: TcpStream, kept: &Mutex<String>) {
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let request = read_request(&mut stream);
    kept.lock().unwrap().push_str(&request);
    if request.contains(" /close") {
        return;
    }
    let body = if request.starts_with("POST /login") {
        format!(
            r#"{{"access_token":"{}","refresh_token":"CANARY-refresh-93e0aa17"}}"#,
            token()
        )
    } else {
        request.clone()
    };
    let status = if request.contains(" /socket") {
        "500 Internal Server Error"
    } else {
        "200 OK"
    };
    let line: String = request
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let head = format!(
        "HTTP/1.1 {status}\r\nX-Echo: {line}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that has gone away has nothing to be told.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()));
}

/// Head and body, as far as they come.
fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length: usize = length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&bytes).into_owned(),
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
