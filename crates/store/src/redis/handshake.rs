//! How a link is made: two connections to one server, who it is, and a confirmed subscription.

use std::sync::Arc;

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion,
    PushInfo, PushKind, RedisConnectionInfo, RedisError, Value, aio::MultiplexedConnection,
    io::tcp::TcpSettings,
};
use rustls::crypto::CryptoProvider;
use tokio::sync::watch;

use super::{
    address::Address,
    cluster::Ownership,
    info,
    link::{Connections, Life, Link, Parts},
    options::Options,
    shared::Shared,
};

/// Why no connection or link came about, for people.
pub(super) type Reason = Arc<str>;

/// A new link and the end of the wire at which its heartbeats are heard.
pub(super) struct Opened {
    pub(super) link: Arc<Link>,
    pub(super) ear: Ear,
}

/// What a heartbeat needs to know of its link's subscription.
pub(super) struct Ear {
    /// The channel nobody else listens to.
    pub(super) channel: String,
    /// The last beat that came back over it.
    pub(super) heard: watch::Receiver<u64>,
}

pub(super) async fn open(shared: &Arc<Shared>, address: &Address) -> Result<Opened, Reason> {
    let limit = shared.options.connect_timeout;
    match shared.clock.timeout(limit, open_unhurried(shared, address)).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis()).into()),
    }
}

async fn open_unhurried(shared: &Arc<Shared>, address: &Address) -> Result<Opened, Reason> {
    let options = &shared.options;
    let life = Arc::new(Life::default());

    let watched = life.clone();
    let config = unlimited().set_push_sender(move |push: PushInfo| {
        if push.kind == PushKind::Disconnection {
            watched.end("the connection broke");
        }
        Ok::<(), ()>(())
    });
    let mut command = connect(options, As::Data, address, &config).await?;
    // Before anything else: every later answer on this connection comes from this incarnation or
    // a later one, and the next heartbeat tells which.
    let server = Server::ask(&mut command, options.is_cluster()).await?;

    let ours = format!("{:016x}:{:016x}", options.node, shared.random.id());
    let channel = options.beat_channel(&ours);
    let (beats, heard) = watch::channel(0);
    let reader = Reader { shared: shared.clone(), life: life.clone(), channel, beats };
    let channel = reader.channel.clone();
    let config = unlimited().set_push_sender(move |push: PushInfo| {
        reader.read(&push);
        Ok::<(), ()>(())
    });
    let mut subscription = connect(options, As::Data, address, &config).await?;
    let here = Server::identity(&mut subscription).await?;
    if here != server.run_id {
        return Err("two connections to one address reach two servers".into());
    }
    let channels = [shared.bus_channel.as_str(), channel.as_str()];
    subscription.subscribe(&channels).await.map_err(|error| reason(&error))?;

    let connections = Connections { command, _subscription: subscription };
    let parts = Parts {
        address: address.clone(),
        incarnation: server.incarnation,
        life,
        connections: Some(connections),
        ownership: server.ownership,
    };
    let (room, timeout) = (options.in_flight_max, options.response_timeout);
    let link = Arc::new(Link::new(parts, room, timeout, shared.clock.clone()));
    Ok(Opened { link, ear: Ear { channel, heard } })
}

/// What a server has to be asked before it can be linked to.
struct Server {
    incarnation: u64,
    run_id: String,
    ownership: Option<Ownership>,
}

impl Server {
    async fn ask(connection: &mut MultiplexedConnection, cluster: bool) -> Result<Self, Reason> {
        let mut questions = ::redis::pipe();
        questions.cmd("INFO");
        if cluster {
            questions.cmd("CLUSTER").arg("NODES");
        }
        let answers = ask(connection, &questions).await?;
        let info = answers.first().and_then(info::text).ok_or("no answer to INFO")?;
        let in_cluster = info::number(info, "cluster_enabled") == Some(1);
        if in_cluster && !cluster {
            return Err(
                "this is a node of a cluster: its address begins with redis+cluster://".into()
            );
        }
        if info::number(info, "loading") == Some(1) {
            return Err("it is loading its data".into());
        }
        let role = info::role(info).ok_or("it does not name its master_replid")?;
        if !role.is_master {
            return Err("it is not a master".into());
        }
        // Without cluster mode the question about it is refused, which `ask` has reported.
        let ownership = match answers.get(1).and_then(info::text) {
            Some(nodes) => Some(Ownership::read(nodes).ok_or("it does not tell its slots")?),
            None => None,
        };
        let run_id = info::field(info, "run_id").ok_or("it does not name its run_id")?.to_owned();
        Ok(Self { incarnation: role.incarnation, run_id, ownership })
    }

    async fn identity(connection: &mut MultiplexedConnection) -> Result<String, Reason> {
        let mut question = ::redis::pipe();
        question.cmd("INFO").arg("server");
        let answers = ask(connection, &question).await?;
        let info = answers.first().and_then(info::text).unwrap_or_default();
        Ok(info::field(info, "run_id").ok_or("it does not name its run_id")?.to_owned())
    }
}

/// Takes what the subscription brings, in the order it comes. Runs on the task that reads the
/// socket: nothing queues up here, a slow `on_message` makes the server queue, and a server that
/// has queued too much closes the connection.
struct Reader {
    shared: Arc<Shared>,
    life: Arc<Life>,
    channel: String,
    beats: watch::Sender<u64>,
}

impl Reader {
    fn read(&self, push: &PushInfo) {
        match push.kind {
            PushKind::Disconnection => self.life.end("the subscription broke"),
            PushKind::Unsubscribe => self.life.end("the server ended the subscription"),
            PushKind::Message => {
                if let [Value::BulkString(channel), Value::BulkString(payload)] = &push.data[..] {
                    self.message(channel, payload);
                }
            }
            _ => {}
        }
    }

    fn message(&self, channel: &[u8], payload: &[u8]) {
        if channel == self.channel.as_bytes() {
            let beat = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
            self.beats.send_replace(beat.unwrap_or(0));
        } else if payload.len() > self.shared.options.message_bytes_max {
            self.life.end("a message was longer than the limit");
        } else {
            (self.shared.on_message)(payload);
        }
    }
}

/// Whom a connection is made to.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum As {
    Data,
    /// Has credentials of its own, no databases, and speaks the old protocol in every version.
    Sentinel,
}

/// Connects and signs in. The caller limits the time.
pub(super) async fn connect(
    options: &Options,
    to: As,
    address: &Address,
    config: &AsyncConnectionConfig,
) -> Result<MultiplexedConnection, Reason> {
    let (host, port) = (address.host.clone(), address.port);
    if options.tls && CryptoProvider::get_default().is_none() {
        // An error means that somebody else was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let endpoint = match options.tls {
        true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host, port),
    };
    let (credentials, protocol, database) = match to {
        As::Data => (&options.credentials, ProtocolVersion::RESP3, options.database),
        As::Sentinel => (&options.sentinel_credentials, ProtocolVersion::RESP2, 0),
    };
    let mut session = RedisConnectionInfo::default()
        .set_protocol(protocol)
        .set_db(i64::from(database))
        .set_skip_set_lib_name();
    if let Some(user) = &credentials.user {
        session = session.set_username(user);
    }
    if let Some(password) = &credentials.password {
        session = session.set_password(password.reveal());
    }
    let info = endpoint
        .into_connection_info()
        .map_err(|error| reason(&error))?
        .set_tcp_settings(TcpSettings::default().set_nodelay(true))
        .set_redis_settings(session);
    let client = Client::open(info).map_err(|error| reason(&error))?;
    client
        .get_multiplexed_async_connection_with_config(config)
        .await
        .map_err(|error| reason(&error))
}

/// The timeouts of redis-rs count by its own clock: they are switched off, ours stand around it.
pub(super) fn unlimited() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

/// One exchange on a connection that is not a link yet. The caller limits the time.
pub(super) async fn ask(
    connection: &mut MultiplexedConnection,
    questions: &Pipeline,
) -> Result<Vec<Value>, Reason> {
    let answers = exchange(connection, questions).await?;
    match super::reply::first_error(&answers) {
        Some((_, error)) => Err(error.to_string().into()),
        None => Ok(answers),
    }
}

/// The same, with the servers' errors among the answers.
pub(super) async fn exchange(
    connection: &mut MultiplexedConnection,
    questions: &Pipeline,
) -> Result<Vec<Value>, Reason> {
    let answers = connection.send_packed_commands(questions, 0, questions.len()).await;
    answers.map_err(|error| reason(&error))
}

/// Short, and without what the library adds around it.
fn reason(error: &RedisError) -> Reason {
    if error.is_connection_refusal() {
        return "connection refused".into();
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}").into(),
        (None, Some(detail)) => format!("{}: {detail}", error.category()).into(),
        _ => error.to_string().into(),
    }
}
