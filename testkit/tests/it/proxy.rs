//! The proxy: what it does to connections, and what it counts.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::Result;
use samovar_testkit::{Direction, Proxy, RedisServer, proxy::Waits, redis::Connection, wait};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn round_trips_are_counted_and_a_pipeline_is_one() -> Result<()> {
    let server = RedisServer::start()?;
    let proxy = Proxy::start(server.address())?;
    let mut stream = connect(proxy.address())?;
    stream.write_all(b"PING\r\nPING\r\n")?;
    expect(&mut stream, b"+PONG\r\n+PONG\r\n")?;
    assert_eq!(proxy.round_trips(), 1);
    for _ in 0..3 {
        stream.write_all(b"PING\r\n")?;
        expect(&mut stream, b"+PONG\r\n")?;
    }
    let counts = proxy.counts();
    assert_eq!(counts.round_trips, 4);
    assert_eq!(counts.connections, 1);
    assert_eq!((counts.bytes_up, counts.bytes_down), (30, 35));
    proxy.reset_counts();
    assert_eq!(proxy.round_trips(), 0);
    Connection::open(proxy.address())?.command(&["PING"])?;
    assert_eq!(proxy.connections().iter().map(|one| one.round_trips).collect::<Vec<_>>(), [0, 1]);
    drop(stream);
    wait::until(LIMIT, "the ends to be seen", || {
        (proxy.counts().open_connections == 0).then_some(())
    })
}

#[test]
fn requests_at_the_same_time_are_one_wait() -> Result<()> {
    let server = RedisServer::start()?;
    let waits = Waits::new();
    let proxies = [
        Proxy::builder().waits(&waits).start(server.address())?,
        Proxy::builder().waits(&waits).start(server.address())?,
    ];
    let mut streams = [connect(proxies[0].address())?, connect(proxies[1].address())?];
    for proxy in &proxies {
        proxy.delay_lane(Direction::Down, Duration::from_millis(100));
    }
    for stream in &mut streams {
        stream.write_all(b"PING\r\n")?;
    }
    for stream in &mut streams {
        expect(stream, b"+PONG\r\n")?;
    }
    assert_eq!(waits.count(), 1);
    for stream in &mut streams {
        stream.write_all(b"PING\r\n")?;
        expect(stream, b"+PONG\r\n")?;
    }
    assert_eq!(waits.count(), 3);
    assert_eq!(proxies[0].round_trips() + proxies[1].round_trips(), 4);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "real time is what the proxy spends")]
#[test]
fn a_delay_is_paid_in_each_direction() -> Result<()> {
    let server = RedisServer::start()?;
    let proxy = Proxy::start(server.address())?;
    let mut connection = Connection::open(proxy.address())?;
    proxy.delay(Duration::from_millis(40));
    let start = Instant::now();
    connection.command(&["PING"])?;
    assert!(start.elapsed() >= Duration::from_millis(80), "{:?}", start.elapsed());
    Ok(())
}

#[test]
fn a_cut_resets_and_refuses_until_it_heals() -> Result<()> {
    let server = RedisServer::start()?;
    let proxy = Proxy::start(server.address())?;
    let mut connection = Connection::open(proxy.address())?;
    connection.command(&["PING"])?;
    proxy.cut();
    assert!(connection.command(&["PING"]).is_err());
    assert!(TcpStream::connect(proxy.address()).is_err());
    proxy.heal()?;
    Connection::open(proxy.address())?.command(&["PING"])?;
    Ok(())
}

#[test]
fn a_reset_leaves_the_port_open() -> Result<()> {
    let server = RedisServer::start()?;
    let proxy = Proxy::start(server.address())?;
    let mut connection = Connection::open(proxy.address())?;
    connection.command(&["PING"])?;
    proxy.reset_connections();
    assert!(connection.command(&["PING"]).is_err());
    Connection::open(proxy.address())?.command(&["PING"])?;
    Ok(())
}

#[test]
fn what_falls_into_a_black_hole_arrives_after_it() -> Result<()> {
    let server = RedisServer::start()?;
    let proxy = Proxy::start(server.address())?;
    for direction in [Direction::Up, Direction::Down] {
        let mut stream = connect(proxy.address())?;
        proxy.black_hole_lane(direction);
        stream.write_all(b"INCR n\r\n")?;
        stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        assert!(stream.read(&mut [0]).is_err(), "nothing comes back");
        let arrived = server.command(&["GET", "n"])?.text();
        assert_eq!(arrived, if direction == Direction::Up { "" } else { "2" });
        proxy.heal()?;
        stream.set_read_timeout(Some(LIMIT))?;
        expect(&mut stream, if direction == Direction::Up { b":1\r\n" } else { b":2\r\n" })?;
    }
    Ok(())
}

#[test]
fn a_half_close_ends_one_direction() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let proxy = Proxy::start(listener.local_addr()?)?;
    let mut client = connect(proxy.address())?;
    let (mut server, _) = listener.accept()?;
    server.set_read_timeout(Some(LIMIT))?;
    client.write_all(b"hello")?;
    expect(&mut server, b"hello")?;
    proxy.half_close(Direction::Up);
    assert_eq!(server.read(&mut [0])?, 0, "the server sees the end");
    server.write_all(b"still here")?;
    expect(&mut client, b"still here")?;
    let mut later = connect(proxy.address())?;
    let (mut server, _) = listener.accept()?;
    later.write_all(b"open")?;
    expect(&mut server, b"open")
}

#[test]
fn an_ordinary_end_loses_nothing() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let proxy = Proxy::start(listener.local_addr()?)?;
    let sent = vec![7; 4 << 20];
    let mut client = connect(proxy.address())?;
    let (mut server, _) = listener.accept()?;
    let mut received = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            client.write_all(&sent)?;
            client.shutdown(std::net::Shutdown::Write)
        });
        server.read_to_end(&mut received)
    })?;
    assert!(received == sent);
    server.write_all(&sent[..1000])?;
    drop(server);
    received.clear();
    client.read_to_end(&mut received)?;
    assert_eq!(received.len(), 1000);
    Ok(())
}

/// A test that blocks the only thread of its runtime has a proxy that works.
#[tokio::test]
async fn the_tests_own_runtime_does_not_matter() -> Result<()> {
    let server = RedisServer::start()?;
    let proxy = Proxy::start(server.address())?;
    proxy.delay(Duration::from_millis(1));
    Connection::open(proxy.address())?.command(&["PING"])?;
    proxy.cut();
    assert!(Connection::open(proxy.address()).is_err());
    Ok(())
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn expect(stream: &mut TcpStream, wanted: &[u8]) -> Result<()> {
    let mut got = vec![0; wanted.len()];
    stream.read_exact(&mut got)?;
    assert_eq!(got, wanted);
    Ok(())
}
