//! Answers as servers give them, whole and in pieces, sound and not.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

/// What came of a request: its status, its body, and whether another may follow.
type Came = Result<(u16, Vec<u8>, bool), Unanswered>;

fn mk_request(method: &str, body: &str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(body.to_owned()));
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = "/path?query=1".parse().unwrap();
    request
        .headers_mut()
        .insert("host", HeaderValue::from_static("example.com"));
    request
}

/// A connection on which this answer waits already, and the server's end of it; the wire takes so many bytes at once.
async fn mk_answered(wire: usize, answer: &[u8]) -> (Http1, DuplexStream) {
    let (ours, mut theirs) = duplex(wire);
    theirs.write_all(answer).await.unwrap();
    (Http1::new(Box::new(ours)), theirs)
}

/// Sends a request and gets these pieces one after the other, after which the server ends the connection or keeps it.
async fn ask(method: &str, pieces: &[&[u8]], ends: bool) -> Came {
    let (ours, mut theirs) = duplex(1 << 20);
    let mut connection = Http1::new(Box::new(ours));
    let request = mk_request(method, "");
    let serve = async {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            theirs.read_buf(&mut seen).await.unwrap();
        }
        for piece in pieces {
            theirs.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        (!ends).then_some(theirs)
    };
    let exchange = async {
        let head = connection.send(&request, Headers::All).await?;
        let (size, body) = connection
            .read_body(Some(1 << 20))
            .await
            .map_err(Unanswered::Failed)?;
        assert_eq!(size, body.len() as u64);
        Ok((head.status.as_u16(), body))
    };
    let (came, open) = tokio::join!(exchange, serve);
    let (status, body) = came?;
    let ready = connection.is_ready().await;
    drop(open);
    Ok((status, body, ready))
}

async fn get(answer: &str) -> Came {
    ask("GET", &[answer.as_bytes()], false).await
}

fn came(status: u16, body: &str, ready: bool) -> Came {
    Ok((status, body.as_bytes().to_vec(), ready))
}

#[tokio::test]
async fn a_body_ends_where_its_head_says() {
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            came(200, "hello", true),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            came(200, "", true),
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", came(204, "", true)),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            came(304, "", true),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n, world...\r\n0\r\nx: y\r\n\r\n",
            came(200, "hello, world...", true),
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok",
            came(201, "ok", true),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            came(200, "ok", true),
        ),
    ] {
        assert_eq!(get(answer).await, expected, "{answer}");
    }
    let headed = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    assert_eq!(ask("HEAD", &[headed], false).await, came(200, "", true));
    let unbounded = b"HTTP/1.1 200 OK\r\n\r\nuntil the end";
    assert_eq!(
        ask("GET", &[unbounded], true).await,
        came(200, "until the end", false)
    );
}

#[tokio::test]
async fn a_connection_is_used_again_only_where_both_sides_agree() {
    for (answer, ready) in [
        (
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: Upgrade, Close\r\nContent-Length: 2\r\n\r\nok",
            false,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        (
            "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
            true,
        ),
        // Nobody asked for what follows.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK",
            false,
        ),
        // Two lengths: the chunks count, and the rest is not believed.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            false,
        ),
    ] {
        assert_eq!(get(answer).await, came(200, "ok", ready), "{answer}");
    }
    let ended = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(ask("GET", &[ended], true).await, came(200, "ok", false));
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_told_as_such() {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD));
    let crowded = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(HEADERS + 1));
    let trailed = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}",
        "x: y\r\n".repeat(HEAD / 6 + 1)
    );
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        &endless,
        &crowded,
        &trailed,
    ] {
        let start = &answer[..answer.len().min(100)];
        assert_eq!(
            get(answer).await,
            Err(Unanswered::Failed(ErrorKind::Protocol)),
            "{start}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nContent-",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        let came = ask("GET", &[answer.as_bytes()], true).await;
        assert_eq!(came, Err(Unanswered::Failed(ErrorKind::Closed)), "{answer}");
    }
}

#[tokio::test]
async fn a_request_says_what_it_has_and_nothing_else() {
    for (method, body, expected) in [
        (
            "GET",
            "",
            "GET /path?query=1 HTTP/1.1\r\nhost: example.com\r\n\r\n",
        ),
        (
            "POST",
            "",
            "POST /path?query=1 HTTP/1.1\r\nhost: example.com\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "DELETE",
            "now",
            "DELETE /path?query=1 HTTP/1.1\r\nhost: example.com\r\ncontent-length: 3\r\n\r\nnow",
        ),
    ] {
        let (mut connection, mut theirs) = mk_answered(1 << 10, b"HTTP/1.1 204 No Content\r\n\r\n").await;
        connection
            .send(&mk_request(method, body), Headers::All)
            .await
            .unwrap();
        drop(connection);
        let mut seen = String::new();
        theirs.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn headers_are_kept_where_somebody_reads_them() {
    for (status, wanted, kept) in [
        ("200 OK", Headers::All, true),
        ("200 OK", Headers::OfRedirects, false),
        ("302 Found", Headers::OfRedirects, true),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
        let (mut connection, _theirs) = mk_answered(1 << 10, answer.as_bytes()).await;
        let head = connection.send(&mk_request("GET", ""), wanted).await.unwrap();
        assert_eq!(head.headers.contains_key("location"), kept, "{status} {wanted:?}");
    }
}

/// A body that is larger than what the wire takes at once.
fn mk_upload() -> Request<Bytes> {
    mk_request("POST", &"x".repeat(1 << 20))
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let (ours, mut theirs): (DuplexStream, _) = duplex(1 << 12);
    let mut connection = Http1::new(Box::new(ours));
    let serve = async {
        let mut seen = Vec::new();
        while seen.iter().filter(|&&byte| byte == b'x').count() < 1 << 20 {
            theirs.read_buf(&mut seen).await.unwrap();
        }
        theirs
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        theirs
    };
    let request = mk_upload();
    let (head, _theirs) = tokio::join!(connection.send(&request, Headers::All), serve);
    assert_eq!(head.unwrap().status, StatusCode::OK);
    assert!(connection.is_ready().await);
}

#[tokio::test]
async fn an_answer_before_the_body_is_out_counts_and_ends_the_connection() {
    let answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
    let (mut connection, _theirs) = mk_answered(1 << 12, answer).await;
    let head = connection.send(&mk_upload(), Headers::All).await.unwrap();
    assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(connection.read_body(None).await, Ok((0, Vec::new())));
    assert!(!connection.is_ready().await);
}

#[tokio::test]
async fn on_a_connection_that_ended_nothing_is_sent() {
    let (ours, theirs) = duplex(1 << 10);
    let mut connection = Http1::new(Box::new(ours));
    drop(theirs);
    assert!(!connection.is_ready().await);
    let came = connection.send(&mk_request("GET", ""), Headers::All).await;
    assert_eq!(came.unwrap_err(), Unanswered::Unsent);
}

#[tokio::test]
async fn a_body_that_is_larger_than_what_is_kept_is_refused_and_counted_when_it_is_not() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    for (keep, expected) in [
        (Some(99_999), Err(ErrorKind::TooLarge)),
        (None, Ok((100_000, Vec::new()))),
    ] {
        let (mut connection, mut theirs) = mk_answered(1 << 20, answer).await;
        theirs.write_all(&[b'x'; 100_000]).await.unwrap();
        connection
            .send(&mk_request("GET", ""), Headers::All)
            .await
            .unwrap();
        assert_eq!(connection.read_body(keep).await, expected);
    }
}

proptest! {
    #[test]
    fn however_an_answer_is_cut_into_chunks_and_pieces_its_body_is_the_same(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            answer.extend(format!("{:X}\r\n", chunk.len()).bytes());
            answer.extend(chunk);
            answer.extend(b"\r\n");
        }
        answer.extend(b"0\r\nTrailer: x\r\n\r\n");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len())).collect();
        cuts.extend([0, answer.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &answer[cut[0]..cut[1]]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let came = runtime.block_on(ask("GET", &pieces, false));
        prop_assert_eq!(came, Ok((200, chunks.concat(), true)));
    }
}
