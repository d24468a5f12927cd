//! The tasks of a proxy: one that accepts and takes orders, one per connection.
#![expect(
    clippy::disallowed_methods,
    reason = "a proxy delays in real time, whatever the clock of the test"
)]

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use rustix::net::sockopt::set_socket_linger;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Answer, Direction, Rules, counts::Ledger};

const READ_BUFFER_BYTES: usize = 64 * 1024;
/// How much may be on its way in one direction of one connection, in reads.
const IN_FLIGHT_READS: usize = 256;

/// What a handle may ask of the task that accepts.
#[derive(Debug)]
pub(super) enum Order {
    /// Reset everything and stop listening.
    Cut,
    /// Reset everything.
    Reset,
    /// Listen, if it does not.
    Listen,
}

#[derive(Debug)]
pub(super) struct Relay {
    address: SocketAddr,
    target: SocketAddr,
    rules: watch::Receiver<Rules>,
    ledger: Arc<Ledger>,
}

impl Relay {
    pub(super) fn new(
        address: SocketAddr,
        target: SocketAddr,
        rules: watch::Receiver<Rules>,
        ledger: Arc<Ledger>,
    ) -> Self {
        Self { address, target, rules, ledger }
    }

    /// Until the last handle is gone.
    pub(super) async fn run(self, mut inbox: mpsc::UnboundedReceiver<(Order, Answer)>) {
        let mut listener = None;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                order = inbox.recv() => {
                    let Some((order, answer)) = order else { return };
                    let result = match order {
                        Order::Listen if listener.is_some() => Ok(()),
                        Order::Listen => self.listen().map(|new| listener = Some(new)),
                        Order::Cut => {
                            listener = None;
                            connections.shutdown().await;
                            Ok(())
                        }
                        Order::Reset => {
                            connections.shutdown().await;
                            Ok(())
                        }
                    };
                    // Whoever asked may have stopped waiting.
                    let _ = answer.send(result);
                }
                Some(client) = accept(listener.as_ref()) => {
                    connections.spawn(self.connection(client));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// The standard library's listener may take a port whose old connections linger.
    fn listen(&self) -> io::Result<TcpListener> {
        let listener = std::net::TcpListener::bind(self.address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    fn connection(&self, client: TcpStream) -> impl Future<Output = ()> + Send + use<> {
        let target = self.target;
        let end = End { ledger: self.ledger.clone(), connection: self.ledger.open() };
        let (up, down) = (self.rules.clone(), self.rules.clone());
        async move {
            // An error ends a connection like a reset of either side; both sides see it as one.
            let _ = pass(client, target, &end, up, down).await;
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    let (client, _) = listener?.accept().await.ok()?;
    Some(client)
}

/// Writes down the end of a connection, however it comes.
struct End {
    ledger: Arc<Ledger>,
    connection: u64,
}

impl Drop for End {
    fn drop(&mut self) {
        self.ledger.close(self.connection);
    }
}

async fn pass(
    mut client: TcpStream,
    target: SocketAddr,
    end: &End,
    up_rules: watch::Receiver<Rules>,
    down_rules: watch::Receiver<Rules>,
) -> io::Result<()> {
    // While this is set, dropping the sockets (an order, an error) resets them.
    set_socket_linger(&client, Some(Duration::ZERO))?;
    let mut server = TcpStream::connect(target).await?;
    set_socket_linger(&server, Some(Duration::ZERO))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = lane(Direction::Up, from_client, to_server, end, up_rules);
        let down = lane(Direction::Down, from_server, to_client, end, down_rules);
        tokio::try_join!(up, down)?;
    }
    set_socket_linger(&client, None)?;
    set_socket_linger(&server, None)?;
    Ok(())
}

/// One read, and when it may go on.
struct Parcel {
    due: Option<Instant>,
    content: Content,
}

enum Content {
    Bytes(Vec<u8>),
    End,
    Broken(io::Error),
}

/// One direction of a connection.
async fn lane(
    direction: Direction,
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    end: &End,
    rules: watch::Receiver<Rules>,
) -> io::Result<()> {
    let (sender, parcels) = mpsc::channel(IN_FLIGHT_READS);
    let collected = collect(direction, from, end, rules.clone(), sender);
    let mut delivered = pin!(deliver(direction, to, end, rules, parcels));
    tokio::select! {
        result = &mut delivered => result,
        () = collected => delivered.await,
    }
}

async fn collect(
    direction: Direction,
    mut from: ReadHalf<'_>,
    end: &End,
    rules: watch::Receiver<Rules>,
    parcels: mpsc::Sender<Parcel>,
) {
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    loop {
        let content = match from.read(&mut buffer).await {
            Ok(0) => Content::End,
            Ok(length) => Content::Bytes(buffer[..length].to_vec()),
            Err(error) => Content::Broken(error),
        };
        if let (Direction::Up, Content::Bytes(bytes)) = (direction, &content) {
            end.ledger.up(end.connection, bytes);
        }
        let delay = rules.borrow().lane(direction).delay;
        let due = (!delay.is_zero()).then(|| Instant::now() + delay);
        let is_last = !matches!(content, Content::Bytes(_));
        if parcels.send(Parcel { due, content }).await.is_err() || is_last {
            return;
        }
    }
}

async fn deliver(
    direction: Direction,
    mut to: WriteHalf<'_>,
    end: &End,
    mut rules: watch::Receiver<Rules>,
    mut parcels: mpsc::Receiver<Parcel>,
) -> io::Result<()> {
    let mut closing = rules.clone();
    let mut closed = false;
    loop {
        let parcel = tokio::select! {
            biased;
            () = half_close(&mut closing, direction, end.connection), if !closed => {
                closed = true;
                to.shutdown().await?;
                continue;
            }
            parcel = parcels.recv() => parcel,
        };
        let Some(Parcel { due, content }) = parcel else { return Ok(()) };
        if let Some(due) = due {
            sleep_until(due).await;
        }
        // An error means that the proxy is gone, and this task soon is.
        let _ = rules.wait_for(|rules| !rules.lane(direction).black_hole).await;
        match content {
            Content::Bytes(_) if closed => {}
            Content::Bytes(bytes) => {
                if direction == Direction::Down {
                    end.ledger.down(end.connection, bytes.len());
                }
                to.write_all(&bytes).await?;
            }
            Content::End if closed => {}
            Content::End => to.shutdown().await?,
            Content::Broken(error) => return Err(error),
        }
    }
}

/// Ends when `connection` is to be half-closed.
async fn half_close(rules: &mut watch::Receiver<Rules>, direction: Direction, connection: u64) {
    // An error means that the proxy is gone, and this task soon is.
    let _ = rules.wait_for(|rules| rules.lane(direction).closed_before > connection).await;
}
