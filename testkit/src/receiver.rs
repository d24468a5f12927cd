//! A server on a free port that keeps what is posted to it, and answers as it is told.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver as Posts, Sender},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// Gone with the test process.
#[derive(Debug)]
pub struct Receiver {
    url: String,
    posts: Mutex<Posts<Post>>,
}

/// What has come.
#[derive(Debug, Clone)]
pub struct Post {
    pub path: String,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What one post is answered with, a status line or nothing at all.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Like `500 Oh`, with further lines of a head.
    Status(String),
    /// The connection stays open.
    Silence,
}

impl Receiver {
    /// Each post gets the next of `answers`; behind the last one, 200.
    pub fn start(answers: Vec<Answer>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let url = format!("http://{}", listener.local_addr().context("no address")?);
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let (keeps, posts) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, keeps) = (answers.clone(), keeps.clone());
                thread::spawn(move || serve(&stream, &answers, &keeps));
            }
        });
        Ok(Self { url, posts: Mutex::new(posts) })
    }

    /// Without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next post.
    pub fn next(&self, limit: Duration) -> Result<Post> {
        let posts = self.posts.lock().map_err(|_| anyhow::anyhow!("a reader panicked"))?;
        posts.recv_timeout(limit).with_context(|| format!("nothing was posted within {limit:?}"))
    }

    /// One that has come by now.
    pub fn try_next(&self) -> Option<Post> {
        self.posts.lock().ok()?.try_recv().ok()
    }
}

/// One post after the other, as long as the connection holds.
fn serve(
    stream: &TcpStream,
    answers: &Mutex<VecDeque<Answer>>,
    keeps: &Sender<Post>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let post = read(&mut reader).ok()?;
        let answer = answers.lock().ok()?.pop_front();
        keeps.send(post).ok()?;
        let status = match answer {
            Some(Answer::Silence) => {
                // Until the other end gives up.
                let _ = reader.read(&mut [0; 1]);
                return None;
            }
            Some(Answer::Status(status)) => status,
            None => "200 Fine".to_owned(),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        (&*stream).write_all(head.as_bytes()).ok()?;
    }
}

fn read(reader: &mut impl BufRead) -> io::Result<Post> {
    let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).ok_or_else(ended)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|it| it.parse().ok()).ok_or_else(ended)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Post { path, headers, body })
}
