//! Single upgrades that are answered with HTTP 500 among thousands that are not page nobody, through the daemon and a real
//! Alertmanager on a scaled clock; and the same set-up does page when all of them are.

use crate::site::{HTTP_500, Plan, Site, seconds};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Attempts of each test.
const ATTEMPTS: u64 = 3000;
/// Answers of which no four are wrong.
const CLOSE: usize = 5;
/// Bytes of the head of a request.
const HEAD_MAX: usize = 16 * 1024;
const WRONG: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The upgrades with one credential: which of them are answered wrongly.
#[derive(Default)]
struct Sequence {
    state: u64,
    /// Whether the last ones were wrong.
    last: [bool; CLOSE],
    asked: u64,
    wrong: u64,
}

impl Sequence {
    /// By chance, one in `one_in`; but four wrong ones among five in a row would be an outage of that moment, and rightly page.
    fn next(&mut self, one_in: u64) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.last.rotate_left(1);
        let before = self.last[..CLOSE - 1].iter().filter(|wrong| **wrong).count();
        let wrong = self.state.is_multiple_of(one_in) && (before < 3 || one_in == 1);
        self.last[CLOSE - 1] = wrong;
        self.asked += 1;
        self.wrong += u64::from(wrong);
        wrong
    }
}

/// Who stands before the target. Connections are watched as they come: the watches ask on fresh ones.
pub struct Strays {
    pub address: SocketAddr,
    one_in: Arc<Mutex<u64>>,
    /// Without a token, and with one.
    sequences: Arc<Mutex<[Sequence; 2]>>,
    task: JoinHandle<()>,
}

impl Drop for Strays {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Strays {
    pub async fn before(target: SocketAddr, one_in: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let one_in = Arc::new(Mutex::new(one_in));
        let sequences = [0x5eed, 0xfeed].map(|state| Sequence {
            state,
            ..Sequence::default()
        });
        let sequences = Arc::new(Mutex::new(sequences));
        let (share, told) = (Arc::clone(&one_in), Arc::clone(&sequences));
        let task = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let (share, told) = (Arc::clone(&share), Arc::clone(&told));
                tokio::spawn(async move {
                    let wrong = |valid: bool| {
                        let one_in = *share.lock().unwrap();
                        told.lock().unwrap()[usize::from(valid)].next(one_in)
                    };
                    // Whoever hangs up is gone.
                    let _ = carry(caller, target, wrong).await;
                });
            }
        });
        Self {
            address,
            one_in,
            sequences,
            task,
        }
    }

    /// Upgrades so far, and how many were answered wrongly, without a token and with one.
    fn seen(&self) -> [(u64, u64); 2] {
        self.sequences
            .lock()
            .unwrap()
            .each_ref()
            .map(|sequence| (sequence.asked, sequence.wrong))
    }
}

async fn carry(mut caller: TcpStream, target: SocketAddr, mut wrong: impl FnMut(bool) -> bool) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_MAX {
        if caller.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if text.contains("\r\nupgrade: websocket") && wrong(text.contains("\r\nauthorization:")) {
        return caller.write_all(WRONG.as_bytes()).await;
    }
    let mut behind = TcpStream::connect(target).await?;
    behind.write_all(&head).await?;
    copy_bidirectional(&mut caller, &mut behind).await?;
    Ok(())
}

/// Each watch several times, for none asks more often than each second.
pub fn many(watch: &str) -> String {
    let (begin, end) = (
        watch.find("  upgrade_anonymous:").unwrap(),
        watch.find("checks:").unwrap(),
    );
    let others = (1..8).map(|copy| {
        let named = |name: &str| format!("  {name}_{copy}:");
        watch[begin..end]
            .replace("  upgrade_anonymous:", &named("upgrade_anonymous"))
            .replace("  upgrade_authenticated:", &named("upgrade_authenticated"))
    });
    format!("{}{}{}", &watch[..end], others.collect::<String>(), &watch[end..])
}

async fn strays_page_nobody(one_in: u64) {
    let site = Site::start(Plan {
        stray_in: Some(one_in),
        ..Plan::default()
    })
    .await;
    let strays = site.strays.as_ref().unwrap();
    let mut seen = strays.seen();
    for _ in 0..900 {
        seen = strays.seen();
        if seen[0].0 + seen[1].0 >= ATTEMPTS {
            break;
        }
        seconds(1).await;
        assert!(
            site.alertmanagers[0].alerts(HTTP_500).await.is_empty(),
            "{}",
            site.daemon_log()
        );
    }
    let bursts = site.daemon_log().matches("alert.suspected").count();
    println!("one in {one_in}: (attempts, wrong) without a token and with one {seen:?}, {bursts} bursts");
    assert!(seen[0].0 + seen[1].0 >= ATTEMPTS, "{seen:?}");
    for (asked, wrong) in seen {
        assert!(asked > ATTEMPTS / 5 && wrong * one_in * 2 > asked, "{seen:?}");
    }
    assert!(bursts >= 10, "{bursts} bursts");
    assert_eq!(site.pager.everything(), Vec::<String>::new(), "{}", site.daemon_log());
    *strays.one_in.lock().unwrap() = 1;
    site.pager.paged(HTTP_500, 1, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes four minutes: cargo test --test paging -- --ignored stray"]
async fn stray_answers_one_in_a_hundred_page_nobody() {
    strays_page_nobody(100).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes four minutes: cargo test --test paging -- --ignored stray"]
async fn stray_answers_one_in_twenty_page_nobody() {
    strays_page_nobody(20).await;
}
