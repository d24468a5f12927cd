//! What parent and child tell each other over their socket: a tag, a length, the bytes.

use std::io::{self, Read, Write};

/// More than this is refused on both sides: results travel through stores, not through here.
pub const MOST_FRAME_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// The child has started and is idle.
    Ready,
    Work {
        work: String,
        job: String,
        limit_bytes: u64,
        input: Vec<u8>,
    },
    Progress(Vec<u8>),
    /// From the parent, to the work that runs.
    Say(Vec<u8>),
    Sample {
        current_bytes: u64,
        peak_bytes: u64,
    },
    Done(Vec<u8>),
    Failed(String),
    Panicked(String),
}

impl Frame {
    pub(super) fn write_to(&self, mut stream: impl Write) -> io::Result<()> {
        let (tag, body): (u8, Vec<u8>) = match self {
            Frame::Ready => (0, Vec::new()),
            Frame::Work { work, job, limit_bytes, input } => {
                let mut body = limit_bytes.to_le_bytes().to_vec();
                for text in [work, job] {
                    body.extend(length(text.len())?);
                    body.extend(text.as_bytes());
                }
                body.extend(input);
                (1, body)
            }
            Frame::Progress(bytes) => (2, bytes.clone()),
            Frame::Sample { current_bytes, peak_bytes } => {
                (3, [current_bytes.to_le_bytes(), peak_bytes.to_le_bytes()].concat())
            }
            Frame::Done(bytes) => (4, bytes.clone()),
            Frame::Failed(text) => (5, text.clone().into_bytes()),
            Frame::Panicked(text) => (6, text.clone().into_bytes()),
            Frame::Say(bytes) => (7, bytes.clone()),
        };
        let mut bytes = vec![tag];
        bytes.extend(length(body.len())?);
        bytes.extend(body);
        stream.write_all(&bytes)
    }

    fn read_from(tag: u8, body: &[u8]) -> Option<Self> {
        let text = || String::from_utf8_lossy(body).into_owned();
        Some(match tag {
            0 => Frame::Ready,
            1 => {
                let (limit_bytes, rest) = number(body)?;
                let (work, rest) = short_text(rest)?;
                let (job, input) = short_text(rest)?;
                Frame::Work { work, job, limit_bytes, input: input.to_vec() }
            }
            2 => Frame::Progress(body.to_vec()),
            3 => {
                let (current_bytes, rest) = number(body)?;
                Frame::Sample { current_bytes, peak_bytes: number(rest)?.0 }
            }
            4 => Frame::Done(body.to_vec()),
            5 => Frame::Failed(text()),
            6 => Frame::Panicked(text()),
            7 => Frame::Say(body.to_vec()),
            _ => return None,
        })
    }
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    match u32::try_from(bytes) {
        Ok(length) if bytes <= MOST_FRAME_BYTES => Ok(length.to_le_bytes()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "more than a frame may carry")),
    }
}

fn number(body: &[u8]) -> Option<(u64, &[u8])> {
    let (bytes, rest) = body.split_first_chunk()?;
    Some((u64::from_le_bytes(*bytes), rest))
}

fn short_text(body: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = body.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

/// Puts frames together from a stream that may time out in the middle of one.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Frame(Frame),
    /// Nothing came within the stream's time-out.
    Quiet,
    Closed,
}

impl Inbox {
    pub(super) fn next(&mut self, stream: &mut impl Read) -> io::Result<Next> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Next::Frame(frame));
            }
            let mut chunk = [0; 8192];
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(Next::Closed),
                Ok(read) => self.bytes.extend(&chunk[..read]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(Next::Quiet),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionReset => return Ok(Next::Closed),
                    _ => return Err(error),
                },
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Frame>> {
        let Some((&[tag, a, b, c, d], rest)) = self.bytes.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "not a frame");
        if length > MOST_FRAME_BYTES {
            return Err(broken());
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = Frame::read_from(tag, body).ok_or_else(broken)?;
        self.bytes.drain(..length + 5);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte at a time, with a time-out after each.
    struct Trickle(Vec<u8>, bool);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if self.0.is_empty() {
                return Ok(0);
            }
            buffer[0] = self.0.remove(0);
            Ok(1)
        }
    }

    #[test]
    fn frames_come_through_a_stream_that_trickles() {
        let frames = [
            Frame::Ready,
            Frame::Work {
                work: "fold".to_owned(),
                job: "warm/orders".to_owned(),
                limit_bytes: 7,
                input: vec![0, 1, 2],
            },
            Frame::Progress(vec![9]),
            Frame::Sample { current_bytes: 1, peak_bytes: u64::MAX },
            Frame::Done(Vec::new()),
            Frame::Failed("no".to_owned()),
            Frame::Panicked("why".to_owned()),
            Frame::Say(vec![8]),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write_to(&mut bytes).expect("it is written");
        }
        let (mut stream, mut inbox, mut seen) = (Trickle(bytes, false), Inbox::default(), vec![]);
        loop {
            match inbox.next(&mut stream).expect("it is whole") {
                Next::Frame(frame) => seen.push(frame),
                Next::Quiet => {}
                Next::Closed => break,
            }
        }
        assert_eq!(seen, frames);
    }

    #[test]
    fn what_is_no_frame_is_an_error_and_not_an_allocation() {
        for bytes in [[4, 255, 255, 255, 255], [99, 0, 0, 0, 0], [1, 0, 0, 0, 0]] {
            assert!(Inbox::default().next(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
    }
}
