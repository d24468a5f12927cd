//! Somebody else's application, to which jobs are posted: it tells of each, and answers when it may.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use serde_json::json;

use crate::shop::{LIMIT, Shop};

pub(crate) struct Application {
    address: SocketAddr,
    posted: Receiver<Posted>,
    gate: Arc<Gate>,
}

#[derive(Debug)]
pub(crate) struct Posted {
    /// In small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Application {
    /// Answers at once, with this status.
    pub(crate) fn start(status: &'static str) -> Self {
        let application = Self::start_closed(status);
        application.open();
        application
    }

    /// Answers when it is opened.
    pub(crate) fn start_closed(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, posted) = channel();
        let gate = Arc::new(Gate::default());
        let guarded = gate.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (tell, gate) = (tell.clone(), guarded.clone());
                thread::spawn(move || answer(stream.expect("a connection"), &tell, &gate, status));
            }
        });
        Self { address, posted, gate }
    }

    pub(crate) fn open(&self) {
        *self.gate.is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.gate.opened.notify_all();
    }

    pub(crate) fn next(&self) -> Posted {
        self.posted.recv_timeout(LIMIT).expect("a job is posted")
    }

    /// All that came and was not yet asked for.
    pub(crate) fn rest(&self) -> Vec<Posted> {
        self.posted.try_iter().collect()
    }

    /// A shop whose jobs may post here, with more in its configuration.
    pub(crate) fn shop(&self, more: &str) -> Shop {
        let shop = Shop::new();
        let http = format!(
            "{more}\n[job.http]\ntries = 2\nbackoff = [0]\ntargets = [{{ url = \
             \"http://{}/jobs/\", authorization = \"Bearer ${{APP_TOKEN}}\" }}]\n[cache]",
            self.address
        );
        shop.change_config("[cache]", &http);
        shop
    }

    pub(crate) fn payload(&self, order: u32) -> String {
        let url = format!("http://{}/jobs/x", self.address);
        json!({ "url": url, "body": { "order": order } }).to_string()
    }
}

impl Posted {
    pub(crate) fn job(&self) -> &str {
        let id = self.head.lines().find_map(|line| line.strip_prefix("samovar-job: "));
        id.expect("it says which job it is")
    }
}

fn answer(stream: TcpStream, tell: &Sender<Posted>, gate: &Gate, status: &str) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).expect("a line");
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.expect("a length").parse().expect("a number")];
    stream.read_exact(&mut body).expect("a body");
    let body = String::from_utf8(body).expect("text");
    // The test may be over.
    let _ = tell.send(Posted { head, body });
    let is_open = gate.is_open.lock().unwrap_or_else(PoisonError::into_inner);
    drop(gate.opened.wait_while(is_open, |is_open| !*is_open));
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    // Whoever asked may be gone.
    let _ = stream.get_mut().write_all(answer.as_bytes());
}
