//! A server refuses bad input.

use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use txn::Db;

use super::{DB, TestEngine, patient};
use crate::support::observer::PATIENCE;
use crate::support::server_engine::ServerEngine;

#[tokio::test]
async fn a_wrong_password_is_an_error_with_the_servers_code() {
    let server = DB::server().tcp(true).start().unwrap();
    let right = Db::<DB>::connect(&server.tcp_url()).await.unwrap();
    right.close().await;
    let wrong = server.tcp_url().replace(":secret@", ":guess@");

    let error = Db::<DB>::connect(&wrong).await.unwrap_err();

    assert_eq!(error.code().as_deref(), Some(DB::WRONG_PASSWORD), "{error}");
    assert!(
        error.to_string().starts_with("cannot open a session: "),
        "{error}"
    );
}

/// A listener accepts, and says nothing.
#[tokio::test]
async fn a_server_that_never_answers_costs_the_acquire_timeout_and_no_more() {
    let limit = Duration::from_millis(200);
    let directory = tempfile::tempdir().unwrap();
    let _silent = UnixListener::bind(directory.path().join(DB::SOCKET)).unwrap();
    let options = DB::at(DB::place().await.url.parse().unwrap(), directory.path());
    let connect = patient::<DB>(options).acquire_timeout(limit).connect();

    let error = tokio::time::timeout(PATIENCE, connect)
        .await
        .expect("bounded")
        .unwrap_err();

    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().contains("within 200ms"), "{error}");
}

/// The port is that of another service.
#[tokio::test]
async fn a_server_that_speaks_another_protocol_is_a_connection_error() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
            .await
            .unwrap();
    });
    let url = DB::tcp_url(port);

    let error = Db::<DB>::connect(&url).await.unwrap_err();

    assert!(error.is_connection(), "{error}");
    other.await.unwrap();
}
