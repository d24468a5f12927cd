//! Who was let in once: what was asked a moment ago, and streams that are open.

use axum::{body::Body, http::Request};
use http_body_util::BodyExt;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use samovar_access::Role;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::server::Shop;

const READING: &str = "/v1/widgets/total?tenant=north";

async fn get(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    uri: &str,
    token: Option<&str>,
) -> hyper::Response<hyper::body::Incoming> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
    tokio::spawn(connection);
    let request = Request::get(uri).header("host", "localhost");
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    let request = request.body(Body::empty()).expect("a request");
    sender.send_request(request).await.expect("an answer")
}

/// The owner of the folder presents nothing. Whoever presents nothing elsewhere is not the owner.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_was_answered_a_moment_ago_nobody_else_is() {
    let shop = Shop::closed().await;
    for _ in 0..3 {
        let socket = UnixStream::connect(&shop.socket).await.expect("it listens");
        assert_eq!(get(socket, READING, None).await.status(), 200);
        let stream = TcpStream::connect(shop.address).await.expect("it listens");
        assert_eq!(get(stream, READING, None).await.status(), 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_what_opened_it_is_revoked() {
    let shop = Shop::closed().await;
    let token = shop.token(Role::Viewer, &["north"]).await;
    let open = async |reading: &str| {
        let stream = TcpStream::connect(shop.address).await.expect("it listens");
        let uri = format!("/v1/stream?reading=total%3Ftenant%3D{reading}");
        get(stream, &uri, Some(&token)).await
    };
    assert_eq!(
        open("north&reading=total%3Ftenant%3Dsouth").await.status(),
        403,
        "each is looked at"
    );
    let mut stream = open("north").await;
    assert_eq!(stream.status(), 200);
    let first = stream.body_mut().frame().await.expect("open").expect("whole");
    assert_eq!(first.into_data().expect("data"), ": samovar\n\n");
    let tokens = shop.access.tokens().await.expect("listed");
    assert!(shop.access.revoke_token(tokens[0].id).await.expect("revoked"));
    // It comes to its end.
    stream.into_body().collect().await.expect("whole");
}
